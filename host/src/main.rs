//! `lectern`: the platform's one binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use capability::ComponentName;
use clap::{Parser, Subcommand};
use host::config::{Config, configured_identity, service_ports};
use host::operate::{self, Failed, Operation};
use host::single::{self, Single};
use host::template::{self, Flavour};
use host::token::{self, Claims, Role};
use host::{admin_key, doctor, serve, telemetry};

#[derive(Parser)]
#[command(
    name = "lectern",
    version,
    about = "Runs the learning platform's services as sandboxed WebAssembly components"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the platform.
    Serve(Place),
    /// Starts the platform, and swaps in what changes in the workspace's components on every save.
    Dev(Place),
    /// Serves one `wasi:http` component without a manifest.
    ServeComponent(Single),
    /// Writes a new component that builds, tests and deploys as it is.
    New {
        /// 1 to 40 characters of `[a-z0-9_]`, a letter first.
        #[arg(value_parser = |name: &str| ComponentName::parse(name))]
        name: ComponentName,
        /// 0.3: a member of this workspace. 0.2: a cargo-component package that stands alone.
        #[arg(long, value_enum, default_value = "0.3")]
        wasi: Flavour,
        /// The folder that it is written to; `components` for 0.3, the present one for 0.2 when not
        /// given.
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Says which backend each capability uses and why, and what is missing.
    Doctor(Place),
    /// Prints a token (JWT), signed with JWT_SECRET_KEY; without it, with the data directory's own key,
    /// which is good for the admin API.
    Token {
        /// The token's subject.
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: String,
        /// The user's tenant: nothing is seen across tenants.
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        tenant: Option<String>,
        /// What it may do: an administrator of a tenant may act for its users, one without may also operate
        /// the platform.
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// How long it is valid, as in `15m`, `1h`, `30d`.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
        /// Where the key is, where JWT_SECRET_KEY is not set.
        #[arg(long, env = "LECTERN_DATA_DIR", default_value = "./.lectern")]
        data_dir: PathBuf,
    },
    #[command(flatten)]
    Operate(Operation),
}

const GATEWAY: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:8081";
const DATA_DIR: &str = "./.lectern";

/// An empty variable counts as unset, as compose files leave them.
fn address(text: &str, default: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    match text {
        "" => default.parse(),
        text => text.parse(),
    }
}

#[derive(clap::Args)]
struct Place {
    /// Where to listen; loopback only unless JWT_SECRET_KEY or JWT_JWKS_URL is set.
    #[arg(long, env = "LECTERN_LISTEN", default_value = GATEWAY, value_parser = |text: &str| address(text, GATEWAY))]
    listen: SocketAddr,
    /// Where the admin API listens.
    #[arg(long, env = "LECTERN_ADMIN_LISTEN", default_value = ADMIN, value_parser = |text: &str| address(text, ADMIN))]
    admin_listen: SocketAddr,
    /// Where everything is kept that the platform keeps.
    #[arg(long, env = "LECTERN_DATA_DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Where the built components lie; beside the program when not given.
    #[arg(long, env = "LECTERN_COMPONENTS")]
    components: Option<PathBuf>,
    /// Listens on 5000 to 5004 too, each for one service alone: chat, documents, quiz, stt, tts.
    #[arg(long, env = "LECTERN_SERVICE_PORTS", value_parser = clap::builder::FalseyValueParser::new())]
    service_ports: bool,
}

fn main() -> ExitCode {
    // Reads FAILPOINTS; without the feature there is nothing to read.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("lectern: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Serve(place) => start(place, None),
        Command::Dev(place) => start(place, Some(Path::new("."))),
        Command::ServeComponent(single) => {
            let started = |address| {
                eprintln!("serving on http://{address}");
                telemetry::init();
            };
            let served = runtime()?.block_on(single::run(single, started));
            served.map_err(|e| e.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::New { name, wasi, folder } => create(&name, wasi, folder),
        Command::Doctor(place) => {
            let report = runtime()?.block_on(doctor::examine(&place.config()?));
            print(&report.text);
            Ok(if report.healthy {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Token {
            user,
            tenant,
            role,
            ttl,
            data_dir,
        } => {
            let identity = configured_identity().map_err(|e| e.to_string())?;
            let key = match (&identity.secret, role) {
                (None, Role::User) => Err(
                    "JWT_SECRET_KEY is not set: the host is in development mode, where requests need no token; \
                     an operator's is made with --role admin".to_owned(),
                ),
                (secret, _) => admin_key::find(secret.as_ref(), &data_dir).map_err(|e| e.to_string()),
            };
            let claims = Claims {
                tenant,
                ..Claims::new(&user, role, ttl)
            };
            let signed = token::encode(&key?, &claims.of(&identity));
            print(&format!("{}\n", signed.map_err(|e| e.to_string())?));
            Ok(ExitCode::SUCCESS)
        }
        Command::Operate(operation) => match runtime()?.block_on(operate::run(operation)) {
            Ok(text) => {
                print(&text);
                Ok(ExitCode::SUCCESS)
            }
            Err(Failed::Said(message)) => Err(message),
            Err(Failed::Json(json)) => {
                print(&json);
                Ok(ExitCode::FAILURE)
            }
        },
    }
}

fn start(place: Place, sources: Option<&Path>) -> Result<ExitCode, String> {
    telemetry::init();
    let config = place.config()?;
    let served = runtime()?.block_on(serve::run(&config, sources));
    served.map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn create(
    name: &ComponentName,
    wasi: Flavour,
    folder: Option<PathBuf>,
) -> Result<ExitCode, String> {
    let default = match wasi {
        Flavour::Wasi3 => "components",
        Flavour::Wasi2 => ".",
    };
    let folder = folder.unwrap_or_else(|| default.into());
    let files = template::create(&folder, name, wasi).map_err(|e| e.to_string())?;
    for file in files {
        print(&format!("{}\n", file.display()));
    }
    print(&match wasi {
        Flavour::Wasi3 => format!(
            "build and deploy it: just component {name} && lectern deploy target/components/{name}.wasm\n"
        ),
        Flavour::Wasi2 => {
            "build it with `cargo component build --release`, deploy it with `lectern deploy`\n"
                .to_owned()
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// More threads than processors: a guest keeps its thread for a tick at a time, and who waits behind
/// several busy ones waits for less where the system shares the processors out.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((4 * processors).max(8))
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn print(text: &str) {
    print!("{text}");
}

impl Place {
    fn config(mut self) -> Result<Config, String> {
        if self.data_dir.as_os_str().is_empty() {
            self.data_dir = DATA_DIR.into();
        }
        let components = self.components.filter(|path| !path.as_os_str().is_empty());
        let loaded = Config::load(self.listen, self.admin_listen, self.data_dir, components);
        let mut config = loaded.map_err(|e| e.to_string())?;
        if self.service_ports {
            config.service_ports = service_ports(self.listen.ip());
        }
        Ok(config)
    }
}
