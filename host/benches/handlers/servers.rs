//! The same handlers behind the same HTTP server: natively, as a component, and as a component
//! behind all that the gateway does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use backend::postgres::provision::{self, PoolLimits};
use capability::ComponentName;
use capability::postgres::{Postgres, Value};
use host::assemble::Platform;
use host::config::identity::Identity;
use host::dispatch::{Kind, dispatch};
use host::gateway::{self, Gateway};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// Where they listen.
pub(crate) struct Servers {
    pub(crate) native: SocketAddr,
    pub(crate) component: SocketAddr,
    pub(crate) gateway: SocketAddr,
}

pub(crate) async fn start(
    platform: &Arc<Platform>,
    database: &backend::postgres::Config,
) -> Servers {
    let pool = pool(database).await;
    let router = Router::new()
        .route("/probe/empty", get(|| async { "hello" }))
        .route("/probe/select", get(select))
        .with_state(pool);
    let revision = platform.live().table().services()[0].stable.clone();
    let component = service_fn(move |request: hyper::Request<Incoming>| {
        let revision = revision.clone();
        async move {
            let response = dispatch(&revision, request.map(Body::new), Kind::Request).await;
            Ok::<Response, Infallible>(response.unwrap())
        }
    });
    Servers {
        native: serve(TowerToHyperService::new(router)).await,
        component: serve(component).await,
        gateway: gateway(platform).await,
    }
}

/// The gateway as `lectern serve` runs it.
pub(crate) async fn gateway(platform: &Arc<Platform>) -> SocketAddr {
    let gateway = Arc::new(Gateway::new(platform.clone(), &Identity::default()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(gateway::serve(
        listener,
        gateway,
        std::future::pending(),
        Duration::ZERO,
    ));
    address
}

/// As many connections as the component may have.
async fn pool(database: &backend::postgres::Config) -> Arc<dyn Postgres> {
    let platform = provision::platform(database).await.unwrap();
    let limits = PoolLimits {
        connections: 8,
        statement_timeout: Duration::from_secs(5),
    };
    let name = ComponentName::parse("native").unwrap();
    provision::schema(database, &platform, &name, &[])
        .await
        .unwrap();
    Arc::new(provision::pool(database, &name, limits))
}

async fn select(State(pool): State<Arc<dyn Postgres>>) -> String {
    let rows = pool.fetch("select 1::bigint", vec![]).await.unwrap();
    match rows[0][0] {
        Value::Int(one) => one.to_string(),
        _ => String::new(),
    }
}

async fn serve<S>(service: S) -> SocketAddr
where
    S: hyper::service::Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}
