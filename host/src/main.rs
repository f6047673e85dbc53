//! `lectern`: the platform's one binary.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use host::config::{Config, jwt_secret};
use host::token::{self, Role};
use host::{doctor, serve, telemetry};
use secrecy::ExposeSecret;

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
    /// Says which backend each capability uses and why, and what is missing.
    Doctor(Place),
    /// Prints a token (JWT) for the configured JWT_SECRET_KEY.
    Token {
        /// The token's subject.
        #[arg(long)]
        user: String,
        /// What it may do.
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// How long it is valid, as in `15m`, `1h`, `30d`.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
}

#[derive(clap::Args)]
struct Place {
    /// Where to listen; loopback only unless JWT_SECRET_KEY is set.
    #[arg(long, env = "LECTERN_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where everything is kept that the platform keeps.
    #[arg(long, env = "LECTERN_DATA_DIR", default_value = "./.lectern")]
    data_dir: PathBuf,
    /// Where the built components lie; beside the program when not given.
    #[arg(long, env = "LECTERN_COMPONENTS")]
    components: Option<PathBuf>,
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
        Command::Serve(place) => {
            telemetry::init();
            let config = place.config()?;
            runtime()?
                .block_on(serve::run(&config))
                .map_err(|e| e.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(place) => {
            let report = runtime()?.block_on(doctor::examine(&place.config()?));
            print(&report.text);
            Ok(if report.healthy {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Token { user, role, ttl } => {
            let secret =
                jwt_secret(std::env::var("JWT_SECRET_KEY").ok()).map_err(|e| e.to_string())?;
            let secret =
                secret.ok_or("JWT_SECRET_KEY is not set: there is nothing to sign with")?;
            let signed = token::sign(secret.expose_secret().as_bytes(), &user, role, ttl);
            print(&format!("{}\n", signed.map_err(|e| e.to_string())?));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Runtime::new().map_err(|e| e.to_string())
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn print(text: &str) {
    print!("{text}");
}

impl Place {
    fn config(self) -> Result<Config, String> {
        Config::load(self.listen, self.data_dir, self.components).map_err(|e| e.to_string())
    }
}
