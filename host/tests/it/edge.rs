//! What clients meet before any service: browsers' rules, packed answers, TLS, HTTP/2, and what is
//! refused at the door.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corpus::samples::BIOLOGY;
use flate2::read::GzDecoder;
use futures::future::join_all;
use host::config::edge::TlsFiles;
use reqwest::{Method, Version};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{PATIENCE, TestHost};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const APP: &str = "https://app.example";

#[tokio::test]
async fn every_answer_says_what_a_browser_may_make_of_it() {
    let host = TestHost::start().await;
    let file = host.upload("alice", "a.txt", BIOLOGY).await;
    for answer in [
        file,
        host.get("/health").await,
        host.get("/documents?user_id=alice").await,
        host.get("/nothing").await,
        host.get("/a//b").await,
    ] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(answer.headers[name], value, "{} {name}", answer.body);
        }
        assert!(!answer.headers.contains_key("strict-transport-security"));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    host.stop().await;
}

fn preflight(host: &TestHost, origin: &str) -> reqwest::RequestBuilder {
    host.request(Method::OPTIONS, "/notes-of-no-service")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
}

#[tokio::test]
async fn a_named_page_is_answered_before_it_shows_a_token_and_no_other() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
        config.edge.origins = vec![APP.to_owned()];
    })
    .await;
    let answer = host.send(preflight(&host, APP)).await;
    assert_eq!(answer.status, 204);
    let told = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(told("access-control-allow-origin"), APP);
    assert!(told("access-control-allow-headers").contains("authorization"));
    assert!(told("access-control-allow-methods").contains("PATCH"));
    assert!(told("vary").contains("origin"));
    for other in ["https://evil.example", "http://localhost:3000", "null"] {
        let refused = host.send(preflight(&host, other)).await;
        assert_eq!(refused.code(), (403, "ORIGIN_NOT_ALLOWED"), "{other}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    // Errors too: else a page cannot tell an expired token from a broken network.
    let request = host.request(Method::GET, "/documents");
    let answer = host.send(request.header("origin", APP)).await;
    assert_eq!(answer.code(), (401, "UNAUTHENTICATED"));
    assert_eq!(answer.headers["access-control-allow-origin"], APP);
    assert_eq!(
        answer.headers["cross-origin-resource-policy"],
        "cross-origin"
    );
    let exposed = answer.headers["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for name in [
        "etag",
        "location",
        "ratelimit",
        "retry-after",
        "x-request-id",
    ] {
        assert!(exposed.contains(name), "{name}");
    }
    let credentials = "access-control-allow-credentials";
    assert!(!answer.headers.contains_key(credentials));
    host.stop().await;
}

#[tokio::test]
async fn in_development_mode_a_page_from_elsewhere_does_nothing() {
    let host = TestHost::start().await;
    for name in ["evil.example", "localhost.evil:8080", "169.254.169.254"] {
        let request = host.request(Method::GET, "/documents");
        let answer = host.send(request.header("host", name)).await;
        assert_eq!(answer.code(), (421, "HOST_NOT_ALLOWED"), "{name}");
    }
    // What a form can send needs no preflight.
    let chat = |origin: &str| {
        let request = host.request(Method::POST, "/chat").header("origin", origin);
        host.send(request.body(json!({ "message": "x" }).to_string()))
    };
    for origin in ["https://evil.example", "null"] {
        let answer = chat(origin).await;
        assert_eq!(answer.code(), (403, "ORIGIN_NOT_ALLOWED"), "{origin}");
    }
    for origin in ["http://localhost:3000", "http://127.0.0.1:1", &host.base] {
        assert_eq!(chat(origin).await.status, 200, "{origin}");
    }
    assert_eq!(
        host.get("/chat/sessions?user_id=anonymous").await.ok()["sessions"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    host.stop().await;
}

fn packed(host: &TestHost, path: &str, how: &str) -> reqwest::RequestBuilder {
    host.request(Method::GET, path)
        .header("accept-encoding", how)
}

#[tokio::test]
async fn long_text_is_packed_for_who_takes_it_and_nothing_else_is() {
    let host = TestHost::start().await;
    let text = BIOLOGY.repeat(8);
    let document = host.processed("alice", "long.txt", text).await;
    let id = document["document_id"].as_str().unwrap();
    let path = format!("/document/{id}?user_id=alice");
    let plain = packed(&host, &path, "identity").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let vary = |response: &reqwest::Response| {
        let all = response.headers().get_all("vary").iter();
        let all = all.map(|value| value.to_str().unwrap().to_ascii_lowercase());
        all.collect::<Vec<_>>().join(",")
    };
    assert!(
        vary(&plain).contains("accept-encoding"),
        "a cache would mix them"
    );
    let plain = plain.bytes().await.unwrap();
    let gzip = packed(&host, &path, "gzip").send().await.unwrap();
    assert_eq!(gzip.headers()["content-encoding"], "gzip");
    assert!(vary(&gzip).contains("accept-encoding"));
    let gzip = gzip.bytes().await.unwrap();
    assert!(gzip.len() < plain.len() / 2);
    let mut unpacked = Vec::new();
    GzDecoder::new(&gzip[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    let of = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(of(&unpacked), of(&plain));
    let brotli = packed(&host, &path, "gzip, br").send().await.unwrap();
    assert_eq!(brotli.headers()["content-encoding"], "br");

    let speech = json!({ "text": "Hello.", "user_id": "alice", "output_format": "wav" });
    let audio = host.post("/synthesize", speech).await.ok();
    let audio = format!("/audio/{}/content", audio["audio_id"].as_str().unwrap());
    for path in [
        "/health/live".to_owned(),
        "/documents?user_id=nobody".to_owned(),
        audio,
        format!("/document/{id}/events?user_id=alice"),
    ] {
        let answer = packed(&host, &path, "gzip, br").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.headers().contains_key("content-encoding"), "{path}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_tag_of_a_packed_answer_is_good_for_asking_again_and_for_a_change() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "long.txt", BIOLOGY.repeat(8)).await;
    let id = document["document_id"].as_str().unwrap();
    let path = format!("/document/{id}/notes?user_id=alice");
    let whole = packed(&host, &format!("/document/{id}?user_id=alice"), "gzip");
    let whole = whole.send().await.unwrap();
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = packed(&host, &format!("/document/{id}?user_id=alice"), "gzip");
    let again = again.header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let put = |tag: &str| {
        let request = host.request(Method::PUT, &path).header("if-match", tag);
        host.send(request.json(&json!({ "notes": "mine", "user_id": "alice" })))
    };
    let notes = packed(&host, &path, "gzip").send().await.unwrap();
    let strong = notes.headers()["etag"].to_str().unwrap();
    let strong = strong.trim_start_matches("W/").to_owned();
    assert_eq!(put("W/\"999\"").await.code(), (412, "PRECONDITION_FAILED"));
    put(&format!("W/{strong}")).await.ok();
    host.stop().await;
}

#[tokio::test]
async fn a_packed_body_is_not_unpacked() {
    let host = TestHost::start().await;
    for encoding in ["gzip", "br", "deflate", "gzip, gzip", "zstd"] {
        let request = host.request(Method::POST, "/chat");
        let request = request.header("content-encoding", encoding);
        let answer = host.send(request.body(vec![0x1f; 1_000])).await;
        assert_eq!(answer.code(), (415, "UNSUPPORTED_CONTENT_ENCODING"));
        assert_eq!(answer.headers["accept-encoding"], "identity");
    }
    host.stop().await;
}

/// A new certificate for localhost, in files; answers it.
fn certify(files: &TlsFiles) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.certificates, &pem).unwrap();
    reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()
}

fn trusting(certificate: &reqwest::Certificate) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_certs_only([certificate.clone()])
        .timeout(PATIENCE)
        // Each request a handshake of its own.
        .pool_max_idle_per_host(0)
}

fn pair(folder: &Path) -> TlsFiles {
    TlsFiles {
        certificates: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    }
}

#[tokio::test]
async fn with_a_certificate_clients_speak_tls_and_choose_their_http() {
    let folder = tempfile::tempdir().unwrap();
    let files = pair(folder.path());
    let certificate = certify(&files);
    let host = TestHost::with("test-components", |config| {
        config.edge.tls = Some(files);
        config.identity.secret = Some(KEY.to_owned().into());
    })
    .await;
    let url = host.base.replace("http://127.0.0.1", "https://localhost") + "/health";
    for (client, version) in [
        (trusting(&certificate), Version::HTTP_2),
        (trusting(&certificate).http1_only(), Version::HTTP_11),
    ] {
        let answer = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let hsts = answer.headers()["strict-transport-security"].to_str();
        assert!(hsts.unwrap().starts_with("max-age="));
    }
    assert!(reqwest::get(&url).await.is_err(), "nobody vouches for it");
    let plain = reqwest::get(format!("{}/health", host.base)).await;
    assert!(plain.is_err(), "nothing is said in the clear");
    host.stop().await;
}

#[tokio::test]
async fn who_says_nothing_by_tls_is_left_too() {
    let folder = tempfile::tempdir().unwrap();
    let files = pair(folder.path());
    certify(&files);
    let certificate = CertificateDer::from_pem_file(&files.certificates).unwrap();
    let host = TestHost::with("test-components", |config| config.edge.tls = Some(files)).await;
    let address = host.base.strip_prefix("http://").unwrap();
    let silent = ["h2", "http/1.1"].map(|protocol| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let name = "localhost".try_into().unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            // HTTP/2 begins with the server's settings.
            let mut heard = Vec::new();
            let ended = stream.read_to_end(&mut heard);
            tokio::time::timeout(PATIENCE, ended).await.is_ok()
        }
    });
    assert_eq!(join_all(silent).await, [true, true]);
    host.stop().await;
}

#[tokio::test]
async fn a_certificate_that_changes_is_taken_and_what_is_under_way_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = pair(folder.path());
    let first = certify(&files);
    let host = TestHost::with("test-components", |config| {
        config.edge.tls = Some(files.clone());
    })
    .await;
    let base = host.base.replace("http://127.0.0.1", "https://localhost");
    let is_trusted = async |certificate: &reqwest::Certificate| {
        let client = trusting(certificate).build().unwrap();
        client.get(format!("{base}/health")).send().await.is_ok()
    };
    assert!(is_trusted(&first).await);
    // A stream that began with the first certificate ends as it would have.
    let lasting = trusting(&first).build().unwrap();
    let stream = lasting.get(format!("{base}/probe/stream/10")).send();
    let stream = stream.await.unwrap();
    let second = certify(&files);
    let changed = async {
        while !is_trusted(&second).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed)
        .await
        .expect("the second certificate is taken");
    assert!(!is_trusted(&first).await);
    assert!(stream.text().await.unwrap().contains("data: end"));
    host.stop().await;
}

#[tokio::test]
async fn many_requests_share_a_connection_of_http_2() {
    let host = TestHost::probe().await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.build().unwrap();
    let asked = (0..100).map(|_| client.get(format!("{}/probe/whoami", host.base)).send());
    for answer in futures::future::join_all(asked).await {
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, Version::HTTP_2)
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_one_that_ends_makes_room() {
    let host = TestHost::with("test-components", |config| config.edge.max_connections = 2).await;
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    let first = TcpStream::connect(&address).await.unwrap();
    let _second = TcpStream::connect(&address).await.unwrap();
    let ask = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let third = raw(&address, ask).await;
    assert!(third.starts_with("HTTP/1.1 503 "), "{third}");
    assert!(third.contains("TOO_MANY_CONNECTIONS") && third.contains("retry-after: 1"));
    drop(first);
    let served = async { while !raw(&address, ask).await.starts_with("HTTP/1.1 200 ") {} };
    let served = tokio::time::timeout(PATIENCE, served).await;
    served.expect("there is room again");
    host.stop().await;
}

/// All that is answered to those bytes until the host closes, or for five seconds.
async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_that_two_readers_would_cut_differently_is_refused() {
    let host = TestHost::probe().await;
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    let smuggled = "GET /probe/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X: a\r\n b\r\n\r\n",
        "X: a\0b\r\n\r\n",
    ] {
        let request = format!("POST /probe/sink HTTP/1.1\r\nHost: localhost\r\n{head}{smuggled}");
        let answer = raw(&address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head}: {answer}");
    }
    // Of both, RFC 9112, section 6.3 lets the chunks count; and nothing may follow on the connection.
    let both = format!(
        "POST /probe/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answer = raw(&address, &both).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "ffffffffffffffffff\r\n",
    ] {
        let request = format!(
            "POST /probe/sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{smuggled}"
        );
        let answer = raw(&address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks}: {answer}");
        assert!(answer.contains("BODY_BROKEN"), "{chunks}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{chunks}: {answer}");
    }
    for hosts in ["", "Host: localhost\r\nHost: other\r\n"] {
        let request = format!("GET /probe/empty HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let answer = raw(&address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts}: {answer}");
        assert!(answer.contains("INVALID_HOST"), "{hosts}: {answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_head_without_end_and_a_path_without_end_are_refused() {
    let host = TestHost::probe().await;
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n")
    };
    let long = format!("X: {}\r\n", "a".repeat(80 << 10));
    let many: String = (0..200).map(|at| format!("X-{at}: a\r\n")).collect();
    for (request, status) in [
        (get("/probe/empty", &long), "431"),
        (get("/probe/empty", &many), "431"),
        (get(&format!("/{}", "a".repeat(9 << 10)), ""), "400"),
        (get("/a\0b", ""), "400"),
        (get("/%00", ""), "400"),
        (get("/probe/%2e%2e/empty", ""), "400"),
        (get("//probe/empty", ""), "400"),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = raw(&address, &request).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{request:.40}: {answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_form_of_ten_thousand_parts_is_refused() {
    let host = TestHost::start().await;
    for path in ["/upload", "/transcribe"] {
        let parts = (0..10_000).map(|at| {
            format!("--b\r\nContent-Disposition: form-data; name=\"f{at}\"\r\n\r\nx\r\n")
        });
        let body: String = parts.collect::<String>() + "--b--\r\n";
        let request = host
            .request(Method::POST, path)
            .header("content-type", "multipart/form-data; boundary=b");
        let answer = host.send(request.body(body)).await;
        assert_eq!(answer.code().0, 400, "{path} {}", answer.body);
    }
    host.stop().await;
}
