//! Every flag, once.
//!
//! In: the command line. Out: what was said, as values that are already checked one by one. What follows from them is worked out by
//! the mode that reads them. A value that cannot be used ends the program with status 2 and the usage.

mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use gateway_core::compile::ServiceNames;
use gateway_core::name::ObjectName;
use http::Method;

pub(crate) use self::values::{Admin, Backend, Header, PortPair, SecretFiles, method};
use self::values::{controller_name, duration, network, object_name, some_time};
use crate::target::Target;

/// Serves plain Gateway API manifests, and judges them.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Serve the manifests, following their changes
    Run(Box<Run>),
    /// Run a cluster's Gateways: watch its objects, start proxies, write statuses
    Controller(Controller),
    /// Serve one Gateway of a cluster, as its controller says
    Proxy(Box<Proxy>),
    /// Judge the manifests without serving them; status 1 when anything is not accepted
    Validate(Validate),
    /// Say which route would take a request, a connection or a datagram, and why the others would not; status 1 when none would
    Explain(Explain),
    /// Say which requests two sets of manifests answer differently, and which statuses change; status 1 when anything differs, 2 when
    /// something cannot be read
    Diff(Diff),
}

impl Command {
    /// The command line of this process.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let command = Self::try_parse()?;
        let clash = match &command.mode {
            Mode::Run(flags) => clash(&flags.port_map).or_else(|| twice(&flags.given.reading.secrets)),
            Mode::Explain(flags) => {
                let checked = flags.url.check_head(flags.method.is_some() || !flags.headers.is_empty());
                checked.err().map(|why| format!("{why}\n")).or_else(|| twice(&flags.given.reading.secrets))
            }
            Mode::Validate(flags) => twice(&flags.given.reading.secrets),
            Mode::Diff(flags) => twice(&flags.reading.secrets),
            Mode::Controller(_) | Mode::Proxy(_) => None,
        };
        match clash {
            Some(clash) => Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, clash).with_cmd(&Self::command())),
            None => Ok(command),
        }
    }
}

/// Why a port map cannot be kept: a port stands twice on one side.
fn clash(pairs: &[PortPair]) -> Option<String> {
    pairs.iter().enumerate().find_map(|(at, pair)| {
        let other = pairs[..at].iter().find(|other| other.named == pair.named || other.bound == pair.bound)?;
        Some(format!("--port-map {}={} and {}={} want the same port\n", other.named, other.bound, pair.named, pair.bound))
    })
}

/// Two flags for one Secret.
fn twice(secrets: &[SecretFiles]) -> Option<String> {
    let (at, again) = secrets.iter().enumerate().find(|(at, one)| secrets[..*at].iter().any(|other| other.name == one.name))?;
    let first = secrets[..at].iter().find(|other| other.name == again.name)?;
    let (first, second) = (first.certificate.display(), again.certificate.display());
    Some(format!("--secret {} is given twice, by {first} and {second}\n", again.name))
}

/// Says what is wrong with the command line, with the usage in any case; or the help that was asked for.
pub(crate) fn refuse(err: &clap::Error) -> ExitCode {
    // Nobody may be there to read it; the status tells too.
    let _ = err.print();
    if err.use_stderr() && !err.to_string().contains("Usage:") {
        let mut command = Command::command();
        command.build();
        let mode = std::env::args().nth(1).unwrap_or_default();
        let usage = command.find_subcommand_mut(&mode).map(|mode| mode.render_usage());
        eprintln!("{}", usage.unwrap_or_else(|| Command::command().render_usage()));
    }
    // 2 for what cannot be used, 0 for help and version.
    ExitCode::from(u8::try_from(err.exit_code()).unwrap_or(2))
}

/// What manifests are read.
#[derive(Clone, Debug, Args)]
pub(crate) struct Given {
    /// Manifests: files, folders (read with all below them), or `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How manifests are read: the same in every mode.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reading {
    /// Where a Service's port is served: `namespace/name:port=address[,address]…`, as in `shop/cart:80=127.0.0.1:9000`.
    /// An address without a port takes the Service's; without `namespace/` it is `default`
    #[arg(long = "backend", value_name = "SERVICE=ADDRESS,…")]
    pub(crate) backends: Vec<Backend>,

    /// A certificate with its key in files of PEM, as a Secret of type kubernetes.io/tls, both followed: `shop/cart=cart.crt,cart.key`;
    /// without `namespace/` it is `default`
    #[arg(long = "secret", value_name = "SECRET=CERTIFICATE,KEY")]
    pub(crate) secrets: Vec<SecretFiles>,

    /// Serve only GatewayClasses of this controller; without it all that are given
    #[arg(long, value_name = "NAME", value_parser = controller_name)]
    pub(crate) controller_name: Option<String>,

    /// What a field that the API does not have does to its object
    #[arg(long, value_enum, default_value_t = FieldValidation::Strict)]
    pub(crate) field_validation: FieldValidation,

    /// Where host names lead: Services of type ExternalName, XBackends, and what `--resolve-services` makes of Services
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = HostNames::Elsewhere)]
    pub(crate) external_names: HostNames,

    /// Reach Services without EndpointSlices by host names of this form, as in `{name}.{namespace}`, at the port of the Service
    #[arg(long, value_name = "TEMPLATE", value_parser = ServiceNames::parse)]
    pub(crate) resolve_services: Option<ServiceNames>,

    /// Addresses to listen on. One is shared by all Gateways; of several each Gateway takes one. Without it, all of the machine's
    #[arg(long = "address", value_name = "IP")]
    pub(crate) addresses: Vec<IpAddr>,
}

/// `gateway run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) given: Given,

    /// Bind another port than the listeners name, as a NAT in front would: `80=8080,443=8443`
    #[arg(long, value_name = "PORT=PORT,…", value_delimiter = ',')]
    pub(crate) port_map: Vec<PortPair>,

    /// Peers whose X-Forwarded-* headers are believed and extended
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxies: Vec<String>,

    /// Ask these name servers for host names, not the ones of the system or its file of hosts
    #[arg(long, value_name = "ADDRESS:PORT,…", value_delimiter = ',')]
    pub(crate) name_servers: Vec<SocketAddr>,

    /// Look for changes twice a second, where file events do not come (network file systems)
    #[arg(long)]
    pub(crate) poll: bool,

    #[command(flatten)]
    pub(crate) serving: Serving,

    /// Keys that seal the sessions of clients, one a line, each 32 bytes in base64 (`openssl rand -base64 32`): the first seals, all
    /// open. Replicas that share the file honour each other's sessions; it is followed. Without it sessions end with the process
    #[arg(long, value_name = "PATH")]
    pub(crate) session_key_file: Option<PathBuf>,

    /// Take all sockets over from the process that serves at this path, without a connection refused, and give them to the next one
    #[arg(long, value_name = "PATH")]
    pub(crate) upgrade_socket: Option<PathBuf>,

    /// Serve the quickstart's Services from this process too
    #[arg(long)]
    pub(crate) demo_backends: bool,
}

/// `gateway controller`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Controller {
    /// Serve the GatewayClasses of this controller
    #[arg(long, value_name = "NAME", default_value = gateway_core::compile::CONTROLLER_NAME, value_parser = controller_name)]
    pub(crate) controller_name: String,

    /// The namespace of the controller's own objects; the environment's POD_NAMESPACE without it
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The Service by which proxies find the controller, in its namespace
    #[arg(long, value_name = "NAME", default_value = "controller")]
    pub(crate) service: String,

    /// The image of proxies; that of the controller's own pod without it
    #[arg(long, value_name = "IMAGE")]
    pub(crate) proxy_image: Option<String>,

    /// Where proxies connect; `[::]` is every address, of both families where the machine has both
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:9902")]
    pub(crate) wire: SocketAddr,

    /// Where health, status and metrics are answered, or `off`
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9901")]
    pub(crate) admin: Admin,
}

/// `gateway proxy`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Proxy {
    /// The Gateway to serve
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = object_name)]
    pub(crate) gateway: ObjectName,

    /// Where the controller is
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) controller: SocketAddr,

    /// The certificate by which the controller is known
    #[arg(long, value_name = "PATH")]
    pub(crate) authority: PathBuf,

    /// The token by which the controller knows this proxy
    #[arg(long, value_name = "PATH")]
    pub(crate) token: PathBuf,

    /// A folder in which the configuration is kept, so that a restarted proxy serves without its controller. It holds keys of
    /// certificates: keep it in memory
    #[arg(long, value_name = "PATH")]
    pub(crate) keep: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// How traffic is served: the same for manifests and in a cluster.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Serving {
    /// How a line of the access log looks
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,

    /// Where health, status and metrics are answered, or `off`
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9901")]
    pub(crate) admin: Admin,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// How long requests may finish after SIGTERM, or after their listener is gone
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,

    /// How long traffic still comes in after SIGTERM while /readyz already says no, so that whoever sends it goes elsewhere first
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) shutdown_delay: Duration,
}

/// What clients and those who are asked about them may take.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limits {
    /// How many connections of clients may be open at a time; one more is told 503, or closed. Fewer where the system allows the
    /// process fewer open files
    #[arg(long, value_name = "COUNT", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    /// How many requests a client may have open on one connection of HTTP/2; one more is refused, to be tried again
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_concurrent_streams: u32,

    /// How long a connect to an endpoint may take; then another one is tried, and when none is left it is 503
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = some_time)]
    pub(crate) connect_timeout: Duration,

    /// How long a connection of a TLSRoute or TCPRoute may carry no byte in either direction
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = some_time)]
    pub(crate) stream_idle_timeout: Duration,

    /// How long the backend of an ExternalAuth may take to say whether a request may pass, connecting included; then it is 504
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = some_time)]
    pub(crate) auth_timeout: Duration,

    /// How many flows of datagrams a listener may have; for one more the one that was silent for longest ends
    #[arg(long, value_name = "COUNT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_flows: u32,

    /// How long nothing may pass in a flow of datagrams before the next one begins another
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = some_time)]
    pub(crate) flow_idle_timeout: Duration,
}

/// `gateway validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) given: Given,

    /// How to show the conditions
    #[arg(short, long, value_enum, default_value_t = ValidateOutput::Table)]
    pub(crate) output: ValidateOutput,

    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// `gateway explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Where it would arrive: a request by `http://host/path` or `https://…`, a call by `grpc://host/service/method` or `grpcs://…`, a
    /// connection by `tls://name:port` or `tcp://:port`, a datagram by `udp://:port`
    pub(crate) url: Target,

    #[command(flatten)]
    pub(crate) given: Given,

    /// The request's method; without it GET, and POST for calls
    #[arg(short = 'X', long, value_parser = method)]
    pub(crate) method: Option<Method>,

    /// A header of the request: `Name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<Header>,

    /// How to show the explanation
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// `gateway diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Manifests as they were: a file, a folder (read with all below it), or `-` for standard input
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,

    /// Manifests as they are to be
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,

    /// Manifests that stand on both sides
    #[arg(long, value_name = "PATH")]
    pub(crate) both: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reading: Reading,

    /// How to show the differences
    #[arg(short, long, value_enum, default_value_t = Output::Text, alias = "format")]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// For whom manifests are judged that are not served.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Judging {
    /// What is taken to be performed
    #[arg(long, value_enum, default_value_t = Performed::Run)]
    pub(crate) support: Performed,
}

/// What a data plane performs; what it does not gets its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Performed {
    /// What `gateway run` performs
    Run,
    /// All of the Gateway API that can be judged, whoever performs it
    All,
}

/// What a field that the API does not have does to its object, in the words of kubectl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FieldValidation {
    /// Refuse the object
    Strict,
    /// Take the object and say so
    Warn,
    /// Take the object
    Ignore,
}

/// Where the host names of backends lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostNames {
    /// Services of type ExternalName nowhere, XBackends as with `elsewhere`
    Refused,
    /// To addresses that are neither loopback nor link-local
    Elsewhere,
    /// To any address
    Anywhere,
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line
    Json,
    /// Words for people
    Text,
}

/// How `validate` shows conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValidateOutput {
    /// A line a condition, then what is not as asked for
    Table,
    /// Statuses as an API server would hold them, and what else is known
    Yaml,
    /// The same as one JSON object
    Json,
}

/// How `explain` shows its reasons, and `diff` what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Sentences
    Text,
    /// One JSON object
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_flags_is_sound() {
        Command::command().debug_assert();
    }

    #[test]
    fn one_secret_is_brought_by_one_flag() {
        let read = |text: &str| text.parse::<SecretFiles>();
        let twice = |texts: &[&str]| twice(&texts.iter().map(|text| read(text).unwrap()).collect::<Vec<_>>());
        assert_eq!(twice(&["a=1,2", "b=1,2", "x/a=1,2"]), None);
        assert_eq!(twice(&["a=1,2", "default/a=3,4"]).as_deref(), Some("--secret default/a is given twice, by 1 and 3\n"));
    }

    #[test]
    fn a_port_is_mapped_once() {
        let pair = |named, bound| PortPair { named, bound };
        assert_eq!(clash(&[pair(80, 8080), pair(443, 8443)]), None);
        assert!(clash(&[pair(80, 8080), pair(81, 8080)]).is_some() && clash(&[pair(80, 8080), pair(80, 8081)]).is_some());
    }
}
