from django.urls import path

from . import views

urlpatterns = [
    path("webhook", views.webhook),
    path("<str:field>/token", views.token),
    path("<str:field>/<str:object_id>/receipt", views.receipt),
]
