//! A host in this process, on a port and a data directory of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::admin::Admin;
use host::assemble::{self, Running};
use host::client::Client;
use host::config::Config;
use host::gateway::{self, Door, Gateway, Port};
use host::token::{self, Role};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::openapi::Document;

/// Longer than anything here takes on a slow machine that has other things to do; nothing waits it out when
/// all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Signs the operators' tokens.
pub(crate) const ADMIN_KEY: &[u8] = b"the tests' operators sign with this";

pub(crate) struct TestHost {
    pub(crate) base: String,
    gateway: Arc<Gateway>,
    folder: TempDir,
    client: reqwest::Client,
    running: Running,
    /// Where the admin API is.
    pub(crate) admin: String,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// What every answer is held to, where it is.
    document: OnceCell<Document>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }

    /// The error's code, after checking the contract's form.
    #[track_caller]
    pub(crate) fn code(&self) -> (u16, &str) {
        let Self { status, body, .. } = self;
        assert!(
            body["error"].is_string() && body["timestamp"].is_string(),
            "{status} {body}"
        );
        assert!(body["request_id"].is_string(), "{status} {body}");
        (*status, body["code"].as_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.body
        );
        self.body
    }
}

pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// A folder that the database's user can walk into, with what is compiled once for all tests.
pub(crate) fn data_dir() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let compiled = std::path::absolute(target().join("test-compiled")).unwrap();
    std::fs::create_dir_all(&compiled).unwrap();
    std::os::unix::fs::symlink(compiled, folder.path().join("compiled")).unwrap();
    folder
}

pub(crate) fn config(folder: &Path, components: &str) -> Config {
    let components = target().join(components);
    assert!(
        components.is_dir(),
        "{} is missing: run `just components`",
        components.display()
    );
    Config::embedded(folder, components)
}

impl TestHost {
    /// The platform's own components, in development mode, without a language model.
    pub(crate) async fn start() -> Self {
        Self::with("components", |_| {}).await
    }

    /// The probe alone.
    pub(crate) async fn probe() -> Self {
        Self::with("test-components", |_| {}).await
    }

    pub(crate) async fn with(components: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = data_dir();
        let mut config = config(folder.path(), components);
        change(&mut config);
        Self::on(folder, config).await
    }

    pub(crate) async fn on(folder: TempDir, config: Config) -> Self {
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let running = assemble::assemble(&config).await.unwrap();
        let gateway = Gateway::new(running.platform.clone(), &config.identity).unwrap();
        let gateway = Arc::new(gateway.with_edge(&config.edge, &config.identity));
        let door = Door::open(&config.edge, &config.limits.proxies).unwrap();
        let operators = TcpListener::bind(config.admin_listen).await.unwrap();
        let admin = format!("http://{}", operators.local_addr().unwrap());
        let api = Arc::new(Admin::new(
            running.platform.clone(),
            ADMIN_KEY,
            &config.identity,
        ));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let served = gateway.clone();
        let serving = tokio::spawn(async move {
            tokio::join!(
                gateway::serve(operators, api, stopped.cancelled(), PATIENCE),
                gateway::serve_at(&door, listener, served, stopped.cancelled(), PATIENCE),
            );
        });
        Self {
            base,
            gateway,
            folder,
            client: reqwest::Client::new(),
            running,
            admin,
            stop,
            serving,
            document: OnceCell::new(),
        }
    }

    /// From here on every answer must be as `/openapi.json` says.
    pub(crate) async fn described(self) -> Self {
        let document = Document::new(self.get("/openapi.json").await.ok());
        self.document.set(document).ok().unwrap();
        self
    }

    /// What answers are held to.
    pub(crate) fn document(&self) -> &Document {
        self.document.get().expect("it is described")
    }

    /// Another port, for that service alone; answers its address.
    pub(crate) async fn port(&self, service: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (gateway, service) = (self.gateway.clone(), service.to_owned());
        let port = Arc::new(Port { gateway, service });
        let stopped = self.stop.clone().cancelled_owned();
        tokio::spawn(gateway::serve(listener, port, stopped, PATIENCE));
        base
    }

    pub(crate) async fn stop(self) {
        drop(self.end().await);
    }

    /// Another host on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with("components").await
    }

    pub(crate) async fn restart_with(self, components: &str) -> Self {
        let folder = self.end().await;
        let config = config(folder.path(), components);
        Self::on(folder, config).await
    }

    /// Another host on the same data, of which something is otherwise.
    pub(crate) async fn restart_changed(self, change: impl FnOnce(&mut Config)) -> Self {
        let folder = self.end().await;
        let mut config = config(folder.path(), "components");
        change(&mut config);
        Self::on(folder, config).await
    }

    async fn end(self) -> TempDir {
        drop(self.client);
        self.stop.cancel();
        self.serving.await.unwrap();
        self.running
            .stop(tokio::time::Instant::now() + PATIENCE)
            .await;
        self.folder
    }

    /// An operator.
    pub(crate) fn operator(&self) -> Client {
        let valid = Duration::from_secs(3_600);
        let token = token::sign(ADMIN_KEY, "olga", Role::Admin, valid).unwrap();
        Client::new(&self.admin, token.into())
    }

    /// A client, for other addresses than the gateway's.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) fn platform(&self) -> &Arc<host::assemble::Platform> {
        &self.running.platform
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The first column of each row, as the administrator.
    pub(crate) async fn sql(&self, statement: &'static str) -> Vec<String> {
        sql(self.folder.path(), statement).await
    }

    /// An address in an answer as a client takes it: a path is one of this host's.
    pub(crate) fn address(&self, url: &str) -> String {
        match url.starts_with('/') {
            true => format!("{}{url}", self.base),
            false => url.to_owned(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .timeout(PATIENCE)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Answer::read(self.client.execute(request).await.unwrap()).await;
        if let Some(document) = self.document.get() {
            document.check(&method, &path, &answer);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn upload(
        &self,
        user: &str,
        filename: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Answer {
        // The file first, as curl users write it.
        let file = Part::bytes(bytes.into()).file_name(filename.to_owned());
        let form = Form::new()
            .part("file", file)
            .text("user_id", user.to_owned());
        self.send(self.request(Method::POST, "/upload").multipart(form))
            .await
    }

    /// Uploads, and waits until it is completed or failed.
    pub(crate) async fn processed(
        &self,
        user: &str,
        filename: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Value {
        let id = self.upload(user, filename, bytes).await.ok()["document_id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.settled(&id).await
    }

    pub(crate) async fn settled(&self, id: &str) -> Value {
        let settled = async {
            loop {
                let document = self.get(&format!("/document/{id}")).await.ok();
                if document["status"] != "processing" {
                    return document;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("the document is processed")
    }
}

/// Two pages of text, written for the tests, in the form of a PDF that nothing produced but us.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut objects = vec!["<< /Type /Catalog /Pages 2 0 R >>".to_owned()];
    let kids: Vec<String> = (0..pages.len())
        .map(|at| format!("{} 0 R", 4 + 2 * at))
        .collect();
    objects.push(format!(
        "<< /Type /Pages /Kids [{}] /Count {} >>",
        kids.join(" "),
        pages.len()
    ));
    objects.push("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned());
    for (at, page) in pages.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * at
        ));
        let lines: String = page
            .lines()
            .map(|line| {
                format!(
                    "({}) Tj 0 -14 Td\n",
                    line.replace('\\', "\\\\")
                        .replace('(', "\\(")
                        .replace(')', "\\)")
                )
            })
            .collect();
        let content = format!("BT /F1 11 Tf 60 780 Td\n{lines}ET");
        objects.push(format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ));
    }
    let (mut file, mut offsets) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (at, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", at + 1));
    }
    let start = file.len();
    file.push_str(&format!(
        "xref\n0 {}\n0000000000 65535 f \n",
        objects.len() + 1
    ));
    for offset in offsets {
        file.push_str(&format!("{offset:010} 00000 n \n"));
    }
    file.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n",
        objects.len() + 1
    ));
    file.into_bytes()
}

/// A member that is a text.
pub(crate) fn text_of(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap().to_owned()
}

/// To a database of the private PostgreSQL of the host that keeps its data in that folder, as the administrator.
pub(crate) async fn database(folder: &Path, name: &str) -> PgConnection {
    let home = folder.join("postgres");
    let options = PgConnectOptions::new_without_pgpass()
        .socket(home.join("socket"))
        .username("lectern")
        .password(&std::fs::read_to_string(home.join("password")).unwrap())
        .database(name);
    PgConnection::connect_with(&options).await.unwrap()
}

/// The first column of each row.
pub(crate) async fn sql(folder: &Path, statement: &'static str) -> Vec<String> {
    let mut connection = database(folder, "lectern").await;
    let rows = sqlx::query_scalar(statement)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows
}
