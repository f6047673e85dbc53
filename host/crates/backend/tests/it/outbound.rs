//! The way out against servers that behave as they should and as they should not, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend::outbound::HttpClient;
use bytes::Bytes;
use capability::outbound::{Error, Outbound, OutboundBody, Timeouts};
use futures::channel::mpsc;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// More than any test takes.
const PATIENT: Duration = Duration::from_secs(20);
const BRIEF: Duration = Duration::from_millis(100);

const PATIENTLY: Timeouts = Timeouts {
    connect: PATIENT,
    first_byte: PATIENT,
    between_bytes: PATIENT,
};

type Answer = Response<OutboundBody>;

/// Serves on loopback; says where, and counts connections.
async fn serve<F>(answer: fn(Request<Incoming>) -> F) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Error>(answer.await) }
            });
            tokio::spawn(async move {
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (at, connections)
}

/// Reads a request's head and writes `answer`; ends the connection unless it `hangs`.
async fn serve_raw(answer: String, hangs: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            open.extend(hangs.then_some(stream));
        }
    });
    at
}

fn anywhere() -> HttpClient {
    HttpClient::new(true)
}

fn get(url: &str) -> Request<OutboundBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::builder().uri(url).body(body).unwrap()
}

fn text(text: String) -> OutboundBody {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn read(answer: Answer) -> Result<String, Error> {
    let whole = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&whole).into_owned())
}

#[tokio::test]
async fn a_loopback_address_is_refused_by_name_and_by_literal() {
    let (at, connections) = serve(|_| async { Response::new(text("secret".into())) }).await;
    let port = at.rsplit(':').next().unwrap();
    let client = HttpClient::new(false);
    for host in [
        "localhost",
        "LocalHost",
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            let answer = client.send(get(&url), PATIENTLY).await;
            assert_eq!(answer.map(|_| ()), Err(Error::Denied), "{url}");
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_host_without_an_address_is_an_error_of_the_name() {
    let request = get("http://no-such-host.invalid/");
    let answer = anywhere().send(request, PATIENTLY).await.map(|_| ());
    assert!(matches!(answer, Err(Error::Dns(_))), "{answer:?}");
}

#[tokio::test]
async fn a_url_that_holds_a_user_or_is_not_http_is_refused() {
    let (at, connections) = serve(|_| async { Response::new(text("secret".into())) }).await;
    for url in [format!("http://a:b@{at}/"), format!("ftp://{at}/")] {
        let answer = anywhere().send(get(&url), PATIENTLY).await.map(|_| ());
        assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_handed_over_and_not_followed() {
    let (at, connections) = serve(|request| async move {
        let answer = Response::builder().status(302);
        let to = format!(
            "http://{}/elsewhere",
            request.headers()["host"].to_str().unwrap()
        );
        answer
            .header("location", to)
            .body(text("moved".into()))
            .unwrap()
    })
    .await;
    let url = format!("http://{at}/");
    let answer = anywhere().send(get(&url), PATIENTLY).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], format!("{url}elsewhere"));
    assert_eq!(read(answer).await.unwrap(), "moved");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let (at, _) = serve(|request| async move {
        let echo = request.into_body().map_err(|_| Error::CutOff);
        Response::new(echo.boxed_unsync())
    })
    .await;
    let (mut pieces, body) = mpsc::channel::<Result<Frame<Bytes>, Error>>(0);
    let request = Request::post(format!("http://{at}/")).body(StreamBody::new(body).boxed_unsync());
    let answer = anywhere().send(request.unwrap(), PATIENTLY).await.unwrap();
    let mut echo = answer.into_body();
    for piece in ["one", "two", "three"] {
        let piece = Bytes::from(piece);
        pieces.try_send(Ok(Frame::data(piece.clone()))).unwrap();
        // The next is not sent before this one is back.
        let back = echo.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(back, piece);
    }
    drop(pieces);
    assert!(echo.frame().await.is_none());
}

#[tokio::test]
async fn a_request_without_a_body_has_none() {
    let (at, _) = serve(|request| async move {
        let headers = request.headers();
        let framed = ["transfer-encoding", "content-length"].map(|name| headers.get(name));
        Response::new(text(format!("{framed:?}")))
    })
    .await;
    let request = get(&format!("http://{at}/"));
    let answer = anywhere().send(request, PATIENTLY).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "[None, None]");
}

#[tokio::test]
async fn headers_of_the_connection_stay_on_it() {
    let (at, _) = serve(|request| async move {
        let mut names: Vec<_> = request.headers().iter().collect();
        names.retain(|(name, _)| *name != "accept");
        let answer = Response::builder().header("connection", "x-inner");
        let answer = answer.header("x-inner", "1").header("x-outer", "2");
        answer.body(text(format!("{names:?}"))).unwrap()
    })
    .await;
    let mut request = get(&format!("http://{at}/"));
    for (name, value) in [
        ("host", "other.test"),
        ("connection", "x-inner"),
        ("x-inner", "1"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic YTpi"),
        ("te", "gzip"),
        ("x-outer", "2"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = anywhere().send(request, PATIENTLY).await.unwrap();
    assert!(!answer.headers().contains_key("x-inner"));
    assert!(!answer.headers().contains_key("connection"));
    assert_eq!(answer.headers()["x-outer"], "2");
    let seen = read(answer).await.unwrap();
    assert_eq!(
        seen,
        format!("[(\"x-outer\", \"2\"), (\"host\", \"{at}\")]")
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_times_out() {
    let at = serve_raw(String::new(), true).await;
    let limits = Timeouts {
        first_byte: BRIEF,
        ..PATIENTLY
    };
    let answer = anywhere().send(get(&format!("http://{at}/")), limits).await;
    assert_eq!(answer.map(|_| ()), Err(Error::Timeout));
}

#[tokio::test]
async fn a_server_that_hangs_in_its_body_times_out() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let at = serve_raw(head.into(), true).await;
    let limits = Timeouts {
        between_bytes: BRIEF,
        ..PATIENTLY
    };
    let answer = anywhere().send(get(&format!("http://{at}/")), limits).await;
    let mut body = answer.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "half");
    assert_eq!(body.frame().await.unwrap().map(|_| ()), Err(Error::Timeout));
}

#[tokio::test]
async fn a_connection_that_is_never_agreed_on_times_out() {
    // Takes the connection and leaves the TLS handshake unanswered.
    let at = serve_raw(String::new(), true).await;
    let limits = Timeouts {
        connect: 3 * BRIEF,
        // Begins with the connection, and so never.
        first_byte: BRIEF,
        ..PATIENTLY
    };
    let url = format!("https://{at}/");
    let answer = anywhere().send(get(&url), limits).await;
    assert_eq!(answer.map(|_| ()), Err(Error::ConnectTimeout));
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_answer_to_it() {
    let (at, _) = serve(|request| async move {
        // Says nothing before it has everything.
        let whole = request.into_body().collect().await.unwrap();
        let whole = Full::new(whole.to_bytes()).map_err(|never| match never {});
        Response::new(whole.boxed_unsync())
    })
    .await;
    let limits = Timeouts {
        first_byte: Duration::from_secs(1),
        ..PATIENTLY
    };
    let slow = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        (sent < 4).then(|| (Ok(Frame::data(Bytes::from("piece "))), sent + 1))
    });
    let request = Request::post(format!("http://{at}/"));
    let request = request.body(StreamBody::new(slow).boxed_unsync()).unwrap();
    let answer = anywhere().send(request, limits).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "piece ".repeat(4));
}

#[tokio::test]
async fn a_failure_is_told_by_its_meaning() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let (plain, _) = serve(|_| async { Response::new(text("hi".into())) }).await;
    let gone = serve_raw(String::new(), false).await;
    let noise = serve_raw("220 mail.test ESMTP\r\n".into(), false).await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let long = serve_raw(long, true).await;
    for (url, expected) in [
        (
            format!("http://{nobody}/"),
            Error::Unavailable(String::new()),
        ),
        (format!("https://{plain}/"), Error::Tls(String::new())),
        (format!("https://{gone}/"), Error::Tls(String::new())),
        (format!("http://{gone}/"), Error::CutOff),
        (format!("http://{noise}/"), Error::Protocol(String::new())),
        (format!("http://{long}/"), Error::TooLarge),
    ] {
        let error = anywhere()
            .send(get(&url), PATIENTLY)
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(!error.to_string().contains(&url), "{error}");
        let same = std::mem::discriminant(&error) == std::mem::discriminant(&expected);
        assert!(same, "{error:?}, not {expected:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let at = serve_raw(head.into(), false).await;
    let answer = anywhere()
        .send(get(&format!("http://{at}/")), PATIENTLY)
        .await;
    assert_eq!(read(answer.unwrap()).await, Err(Error::CutOff));
}

#[tokio::test]
async fn a_request_body_s_own_error_is_not_the_server_s() {
    let (at, _) = serve(|request| async move {
        let body = request.into_body().map_err(|_| Error::CutOff);
        Response::new(body.boxed_unsync())
    })
    .await;
    let broken = StreamBody::new(futures::stream::iter([Err(Error::RequestBody)]));
    let short = StreamBody::new(futures::stream::iter([Ok(Frame::data(Bytes::from(
        "four",
    )))]));
    for body in [broken.boxed_unsync(), short.boxed_unsync()] {
        let request = Request::post(format!("http://{at}/")).header("content-length", 10);
        let answer = anywhere()
            .send(request.body(body).unwrap(), PATIENTLY)
            .await;
        let error = match answer {
            Ok(answer) => read(answer).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert_eq!(error, Err(Error::RequestBody));
    }
}
