from django.urls import include, path

urlpatterns = [path("uploads/", include("uploads.urls"))]
