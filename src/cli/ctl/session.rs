//! What every command that talks to servers begins with: its settings, and a client.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Response, Status};

use super::discovery;
use super::failure::{Exit, Failure, code_name, describe};
use super::flags::Values;
use super::hint;
use super::print::Format;
use super::settings::Settings;
use crate::client::{Client, ClientError, Options};
use crate::config::Tls;
use crate::transport::TlsError;
use crate::types::clock::Clock;

/// Largest message sent unless the user sets another limit, as etcd's client has it.
const MAX_REQUEST_BYTES: usize = 2 << 20;
/// gRPC for Go does not ping more often, whatever the flag says.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(10);

/// The environment of the process.
pub(super) type Environment = BTreeMap<String, String>;

/// Settings and a client.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) format: Format,
    pub(super) hex: bool,
    options: Options,
    timeout: Duration,
    max_request_bytes: usize,
}

impl Session {
    /// Reads the settings and makes a client, which dials at its first call.
    pub(super) async fn open(
        values: &mut Values,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let settings = Settings::settle(values, environment, Path::new("/"))?;
        if values.on("debug") {
            settings.show(values).iter().for_each(|line| eprintln!("{line}"));
        }
        let format = Format::parse(values.text("write-out"))?;
        let mut options = options(values)?;
        if let Some(found) = discovery::discover(values).await? {
            options.endpoints = found.endpoints;
            options.tls = options.tls.or(found.server_name.is_some().then(Tls::default));
            options.server_name = found.server_name;
        }
        let mut client = Client::lazy(&options).map_err(|error| refuse(&error))?;
        let timeout = values.span("command-timeout");
        // Whoever has a token need not ask for one.
        if let Some((name, password)) = options.user.as_ref().filter(|_| options.token.is_none()) {
            authenticate(&mut client, name, password, values.span("dial-timeout")).await?;
        }
        let hex = values.on("hex");
        let max_request_bytes = limit(values, "max-request-bytes", MAX_REQUEST_BYTES);
        Ok(Self { client, format, hex, options, timeout, max_request_bytes })
    }

    /// Lets calls take as long as they take, unless the user set a limit.
    pub(super) fn unhurried(mut self, values: &Values) -> Self {
        if !values.is_given("command-timeout") {
            self.timeout = Duration::MAX;
        }
        self
    }

    /// How the servers are reached.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// A session with these endpoints and the same settings and user.
    pub(super) fn at(&self, endpoint: &str) -> Result<Client, Failure> {
        let endpoints = vec![endpoint.to_owned()];
        let options = Options { endpoints, ..self.options.clone() };
        let client = Client::lazy(&options).map_err(|error| refuse(&error))?;
        Ok(client.with_token_of(&self.client))
    }

    /// Another connection of the same kind.
    pub(super) fn again(&self) -> Result<Client, Failure> {
        let client = Client::lazy(&self.options).map_err(|error| refuse(&error))?;
        Ok(client.with_token_of(&self.client))
    }

    /// The endpoints as the user gave them.
    pub(super) fn endpoints(&self) -> &[String] {
        &self.options.endpoints
    }

    /// Makes one call within the command timeout.
    pub(super) async fn call<T>(
        &self,
        client: &Client,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let result = match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => result.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("context deadline exceeded")),
        };
        if let Err(status) = &result {
            log_failed_call(client, status);
            hint::give(client, status).await;
        }
        result
    }

    /// Gives something longer than one call the time of a command.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let ended = tokio::time::timeout(self.timeout, work).await;
        ended.map_err(|_| Failure::new(Exit::Interrupted, "context deadline exceeded"))
    }

    /// As [`Self::call`] with the first client; a failure ends the command.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let result = self.call(&self.client, call).await;
        result.map_err(|status| Failure::new(Exit::Error, describe(&status)))
    }

    /// Refuses a request that servers would not take, before it is sent.
    pub(super) fn check_size(&self, request: &impl prost::Message) -> Result<(), Failure> {
        let (bytes, most) = (request.encoded_len(), self.max_request_bytes);
        if bytes <= most {
            return Ok(());
        }
        let text = format!("trying to send message larger than max ({bytes} vs. {most})");
        let status = Status::resource_exhausted(text);
        log_failed_call(&self.client, &status);
        Err(Failure::new(Exit::Error, describe(&status)))
    }
}

/// A limit in bytes; nothing, or nonsense, is the usual one.
fn limit(values: &Values, name: &str, usual: usize) -> usize {
    usize::try_from(values.number(name)).ok().filter(|limit| *limit > 0).unwrap_or(usual)
}

fn token(values: &Values) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let text = values.text("auth-jwt-token");
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |_| Failure::bad_args("--auth-jwt-token holds what cannot be in a token");
    text.parse().map(Some).map_err(refused)
}

fn options(values: &Values) -> Result<Options, Failure> {
    for name in ["cert", "key", "cacert"] {
        if values.is_given(name) && values.text(name).is_empty() {
            let text = format!("empty string is passed to --{name} option");
            return Err(Failure::bad_args(text));
        }
    }
    let file = |name| Some(values.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let tls = Tls {
        cert_file: file("cert"),
        key_file: file("key"),
        trusted_ca_file: file("cacert"),
        ..Tls::default()
    };
    let wanted = tls != Tls::default() || !values.on("insecure-transport");
    Ok(Options {
        endpoints: values.list("endpoints"),
        tls: wanted.then_some(tls),
        insecure_skip_verify: values.on("insecure-skip-tls-verify"),
        server_name: None,
        dial_timeout: values.span("dial-timeout"),
        keepalive_time: values.span("keepalive-time").max(SHORTEST_KEEPALIVE),
        keepalive_timeout: values.span("keepalive-timeout"),
        user: credentials(values.text("user"), values.text("password"))?,
        token: token(values)?,
        max_answer_bytes: limit(values, "max-recv-bytes", Options::MAX_ANSWER_BYTES),
        require_leader: false,
        wait_for_ready: true,
    })
}

/// Name and password from their two flags; asks for the password when neither holds it. Nobody is
/// nobody, and whoever has no password does not ask for a token either.
pub(super) fn credentials(user: &str, password: &str) -> Result<Option<(String, String)>, Failure> {
    if user.is_empty() {
        return Ok(None);
    }
    let (name, password) = match (password, user.split_once(':')) {
        ("", Some((name, password))) => (name, password.to_owned()),
        ("", None) => (user, ask_secret("Password: ")?),
        (password, _) => (user, password.to_owned()),
    };
    let complete = !name.is_empty() && !password.is_empty();
    Ok(complete.then(|| (name.to_owned(), password)))
}

/// Asks for a secret on the terminal without showing what is typed.
pub(super) fn ask_secret(prompt: &str) -> Result<String, Failure> {
    let fault = |error: std::io::Error| {
        Failure::bad_args(format!("cannot read the password: {error}; give it with --password"))
    };
    // The terminal's own tool, so that no terminal library is needed; without a terminal there is
    // nothing to hide.
    let terminal = std::io::stdin().is_terminal();
    let echo = |mode: &str| {
        if terminal {
            // Without the tool the password shows, which is no reason to refuse it.
            let _ = std::process::Command::new("stty").arg(mode).status();
        }
    };
    // Before the question, so that whoever answers it quickly is not shown either.
    echo("-echo");
    let mut out = std::io::stdout();
    out.write_all(prompt.as_bytes()).and_then(|()| out.flush()).map_err(fault)?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    echo("echo");
    println!();
    read.map_err(fault)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) async fn authenticate(
    client: &mut Client,
    name: &str,
    password: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let late = || Status::deadline_exceeded("context deadline exceeded");
    let result = match tokio::time::timeout(limit, client.authenticate(name, password)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(ClientError::Authenticate(status))) => *status,
        Ok(Err(error)) => return Err(refuse(&error)),
        Err(_) => late(),
    };
    log_failed_call(client, &result);
    hint::give(client, &result).await;
    // A server without users lets everybody in.
    if result.message() == "etcdserver: authentication is not enabled" {
        return Ok(());
    }
    Err(Failure::new(Exit::BadConnection, describe(&result)))
}

pub(super) fn refuse(error: &ClientError) -> Failure {
    match error {
        ClientError::NoEndpoints => {
            Failure::new(Exit::BadConnection, "etcdclient: no available endpoints")
        }
        ClientError::Tls(TlsError::Read { path, source, .. }) => {
            let why = go_error(source);
            Failure::bad_args(format!("open {}: {why}", path.display()))
        }
        ClientError::Tls(TlsError::NoRoots) => Failure::bad_args(
            "servers cannot be verified: this machine has no CA bundle; name the cluster's with --cacert",
        ),
        ClientError::Tls(error) => Failure::bad_args(error.to_string()),
        other => Failure::new(Exit::BadConnection, other.to_string()),
    }
}

/// What Go says for an error of the operating system.
pub(super) fn go_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => return "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => return "permission denied".to_owned(),
        _ => {}
    }
    // The system's words, without their number and with a small letter.
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.chars().take(1).flat_map(char::to_lowercase).chain(words.chars().skip(1)).collect()
}

/// The line etcd's client library writes for each failed call. With it goes the reason why no server
/// answered, which the error itself does not tell.
pub(super) fn log_failed_call(client: &Client, status: &Status) {
    let mut text =
        format!("rpc error: code = {} desc = {}", code_name(status.code()), status.message());
    if status.code() == tonic::Code::DeadlineExceeded
        && let Some(cause) = client.last_dial_error()
    {
        text = format!("rpc error: code = DeadlineExceeded desc = last connection error: {cause}");
    }
    let target = client.endpoints().iter().map(|endpoint| endpoint.text.as_str());
    let target = target.collect::<Vec<_>>().join(",");
    log(
        "warn",
        &[
            ("logger", "etcd-client"),
            ("msg", "unary call failed"),
            ("target", &target),
            ("error", &text),
        ],
    );
}

/// Writes a line in the layout of etcd's logs on standard error.
pub(super) fn log(level: &str, fields: &[(&str, &str)]) {
    let now = Clock.unix();
    let moment = time::OffsetDateTime::UNIX_EPOCH + now;
    let layout = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
    );
    let moment = moment.format(&layout).unwrap_or_default();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut line = format!("{{\"level\":{},\"ts\":{}", quoted(level), quoted(&moment));
    for (name, value) in fields {
        line.push_str(&format!(",{}:{}", quoted(name), quoted(value)));
    }
    eprintln!("{line}}}");
}
