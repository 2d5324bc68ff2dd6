//! Test of TLS: an untrusted certificate ends the call before a byte of the request is sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::*;

const CERTIFICATE: &[u8] = include_bytes!("../../../tests/fixtures/tls-unknown-issuer.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls-unknown-issuer-private.pem");

/// Serves one connection with the certificate. The receiver gets the request, empty if the handshake failed.
fn serve_tls() -> (u16, mpsc::Receiver<Vec<u8>>) {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap_or(0);
        request.truncate(length);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        sender.send(request).unwrap();
    });
    (port, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_an_untrusted_certificate_gets_no_request() {
    let (port, received) = serve_tls();
    let limits = Limits {
        max_bytes: 1024,
        deadline: Duration::from_secs(2),
    };
    let url = format!("https://localhost:{port}/keys");
    let answer = Outbound::new()
        .unwrap()
        .get(&url, AddressRule::AnyButLinkLocal, limits)
        .await;
    match answer {
        Err(OutboundError::Unreachable(cause)) => {
            assert!(cause.contains("certificate"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    let request = received.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(request.is_empty(), "the request was sent");
}
