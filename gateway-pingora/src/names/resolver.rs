//! Questions to name servers.
//!
//! In: a host name and a family. Out: its addresses and until when they hold, or why nobody says. Name servers and the file of hosts
//! are the system's, read again when their files change, or servers that were named. Nothing is remembered here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::answers::Outcome;

pub(super) const V4: RecordType = RecordType::A;
pub(super) const V6: RecordType = RecordType::AAAA;

/// Who asks.
#[derive(Debug)]
pub(super) struct Asker {
    /// Who is asked; those that the system names when empty.
    servers: Box<[SocketAddr]>,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    resolver: Arc<TokioResolver>,
    stamps: Stamps,
}

/// When the files of the system were last written.
type Stamps = [Option<SystemTime>; 2];

impl Asker {
    pub(super) fn new(servers: Box<[SocketAddr]>) -> Self {
        Self { servers, current: Mutex::default() }
    }

    /// Asks for the addresses of a host that are of this type.
    pub(super) async fn ask(&self, host: &str, family: RecordType) -> Outcome {
        let asked = async {
            let mut name = Name::from_utf8(host)?;
            // What has a dot is all of the name; the system's search list is for single words.
            if name.num_labels() > 1 {
                name.set_fqdn(true);
            }
            self.resolver()?.lookup(name, family).await
        };
        let failed = match asked.await {
            Ok(found) => {
                let addresses = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                return Outcome::Answer(addresses, found.valid_until());
            }
            Err(failed) => failed,
        };
        if let NetError::Dns(DnsError::NoRecordsFound(none)) = &failed {
            let time = none.negative_ttl.map_or(UNSTATED, |seconds| Duration::from_secs(seconds.into()));
            return Outcome::Answer(Vec::new(), Instant::now() + time);
        }
        Outcome::Failure(failed.to_string())
    }

    fn resolver(&self) -> Result<Arc<TokioResolver>, NetError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = if self.servers.is_empty() { FILES.map(written) } else { Stamps::default() };
        if let Some(current) = current.as_ref().filter(|current| current.stamps == stamps) {
            return Ok(Arc::clone(&current.resolver));
        }
        let resolver = Arc::new(self.build()?);
        *current = Some(Current { resolver: Arc::clone(&resolver), stamps });
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let (config, mut options) = match self.servers.is_empty() {
            true => read_system_conf()?,
            false => {
                let servers = self.servers.iter().map(|server| {
                    let at = |mut connection: ConnectionConfig| {
                        connection.port = server.port();
                        connection
                    };
                    NameServerConfig::new(server.ip(), true, [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at).into())
                });
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), options)
            }
        };
        options.cache_size = 0;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
    }
}

fn written(file: &str) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|found| found.modified()).ok()
}

const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// How long it holds that there is no record, where the answer says nothing of it.
const UNSTATED: Duration = Duration::from_secs(10);
