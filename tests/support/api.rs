//! A client of the API that uses only HTTP and JSON.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as JSON; null when it is empty or not JSON.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// Reads the whole answer.
    pub async fn read(response: Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole body");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            json,
            text,
        }
    }

    /// The header's text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The upload's id.
    pub fn id(&self) -> &str {
        self.json["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
    }

    /// The upload without the receipt of a confirm, which is another one each second.
    pub fn upload(&self) -> Value {
        let mut upload = self.json.clone();
        if let Some(members) = upload.as_object_mut() {
            members.remove("receipt");
        }
        upload
    }

    /// The problem's code; empty for other bodies.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// The answer itself, if it has this status; fails the test otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails the test unless this is a problem document with this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Answer {
        let kind = self.header("content-type").to_owned();
        let found = (self.status, self.code(), kind.as_str());
        let wanted = (status, code, "application/problem+json");
        assert_eq!(found, wanted, "{}", self.text);
        self
    }
}

/// A caller: an address, perhaps a token.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    client: Client,
}

impl Api {
    /// A caller without a token, of the broker at this URL.
    pub fn anonymous(base: &str) -> Api {
        Api {
            base: base.trim_end_matches('/').to_owned(),
            token: None,
            client: http_client(),
        }
    }

    /// A caller with this bearer token.
    pub fn new(base: &str, token: &str) -> Api {
        Api::anonymous(base).with_token(token)
    }

    /// The same place with another token.
    pub fn with_token(&self, token: &str) -> Api {
        Api {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// A request to this path, with the token, to be completed by the test.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// POST without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path)).await
    }

    /// Asks for a presigned PUT of these bytes.
    pub async fn create(&self, field: &str, bytes: &[u8], content_type: &str) -> Answer {
        let body = json!({
            "field": field,
            "filename": "picture",
            "content_type": content_type,
            "size": bytes.len(),
        });
        self.post("/v1/uploads", &body).await
    }

    /// Confirms.
    pub async fn confirm(&self, id: &str) -> Answer {
        self.post_empty(&format!("/v1/uploads/{id}/confirm")).await
    }

    /// Reads the upload.
    pub async fn read(&self, id: &str) -> Answer {
        self.get(&format!("/v1/uploads/{id}")).await
    }

    /// Attaches the upload to this record.
    pub async fn attach(&self, id: &str, object_id: &str) -> Answer {
        let body = json!({"object_id": object_id});
        self.post(&format!("/v1/uploads/{id}/attach"), &body).await
    }

    /// Detaches the upload.
    pub async fn detach(&self, id: &str) -> Answer {
        self.post_empty(&format!("/v1/uploads/{id}/detach")).await
    }

    /// The presigned request of a `create` or `presign` answer, with exactly its method, URL and headers.
    pub async fn put(&self, created: &Answer, bytes: &[u8]) -> Answer {
        let request = presigned(&self.client, &created.json["presigned"]);
        // Browsers and curl say so for an empty body too; hyper does not.
        send(
            request
                .header("content-length", bytes.len())
                .body(bytes.to_vec()),
        )
        .await
    }

    /// Create and PUT; the answer is that of create.
    pub async fn stage(&self, field: &str, bytes: &[u8], content_type: &str) -> Answer {
        let created = self.create(field, bytes, content_type).await.expect(201);
        self.put(&created, bytes).await.expect(200);
        created
    }

    /// Create, PUT and confirm; the answer is that of confirm.
    pub async fn upload(&self, field: &str, bytes: &[u8], content_type: &str) -> Answer {
        let created = self.stage(field, bytes, content_type).await;
        self.confirm(created.id()).await.expect(200)
    }
}

/// Sends it and reads the answer; fails the test when there is none.
pub async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.expect("an answer")).await
}

/// The request that a `presigned` member describes, without a body yet.
pub fn presigned(client: &Client, presigned: &Value) -> RequestBuilder {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let method = text(&presigned["method"])
        .parse::<Method>()
        .expect("a method");
    let headers = presigned["headers"].as_object().expect("headers");
    let mut request = client.request(method, text(&presigned["url"]));
    for (name, value) in headers {
        request = request.header(name, text(value));
    }
    request
}

/// An HTTP client without redirects and proxies, with a time limit of 30 s.
pub fn http_client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says only that some other test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client")
}
