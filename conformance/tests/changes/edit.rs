//! The one who edits: writes a version, waits until it is served, settles it, and goes on to the next thing.
//!
//! In: the world. Out: a folder as a person or a tool would leave it. Files are replaced by renaming, the folder of routes by
//! exchanging the link that leads to it, as ConfigMap volumes do.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conformance::http::{PATIENCE, ask};
use conformance::manifest::{a_namespace, a_service, file_of};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Sockets;
use crate::world::{COMING_PORT, FOLDER_ROUTES, Seen, Thing, World, complaint};

/// How long a change may take to be served. It takes milliseconds; what fails here never comes.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Between two edits.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Editor {
    world: Arc<World>,
    root: TempDir,
}

impl Editor {
    /// Writes the first version of everything.
    pub(crate) fn new(world: Arc<World>) -> Self {
        let editor = Self { world, root: TempDir::new().expect("a folder") };
        fs::create_dir(editor.folder()).expect("a folder of ours");

        let mut fixed = vec![a_namespace("default", &[].into())];
        for echo in Thing::ASKED.into_iter().filter(|thing| *thing != Thing::Endpoints).zip(&editor.world.echoes) {
            fixed.extend(a_service(&format!("default/{}", echo.0.name()), 80, &[echo.1.address()]));
        }
        fixed.push(route(Thing::Stays, "stays", "/", None));
        fixed.push(route(Thing::Endpoints, "endpoints", "/", None));
        let mut coming = route(Thing::Coming, "coming", "/", None);
        coming["spec"]["parentRefs"][0]["sectionName"] = "coming".into();
        fixed.push(coming);
        editor.replace("fixed.yaml", &fixed);
        for thing in Thing::EDITED {
            editor.write(thing, 1);
        }
        editor
    }

    /// What the program is to serve.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("served")
    }

    /// Edits one thing after another until then, and says how often. Panics when an edit is never served.
    pub(crate) fn edit_until(&self, ends: Instant, sockets: Sockets) -> usize {
        let mut edits = 0;
        for thing in Thing::EDITED.into_iter().cycle() {
            if Instant::now() >= ends {
                break;
            }
            let subject = self.world.subject(thing);
            let version = subject.begin();
            self.write(thing, version);
            self.wait_served(thing, version, sockets);
            subject.settle(version);
            edits += 1;
            thread::sleep(PAUSE);
        }
        edits
    }

    fn write(&self, thing: Thing, version: u64) {
        match thing {
            Thing::Stays => {}
            Thing::Edited => self.replace("edited.yaml", &[route(thing, "edited", "/", Some(version))]),
            Thing::Removed if thing.expected(version) == Seen::Absent => {
                fs::remove_file(self.folder().join("removed.yaml")).expect("it was there");
            }
            Thing::Removed => self.replace("removed.yaml", &[route(thing, "removed", "/", Some(version))]),
            Thing::Folder => self.exchange_folder(version),
            Thing::Endpoints => {
                let group = &self.world.endpoints[(version % 2) as usize];
                let addresses: Vec<_> = group.iter().map(conformance::echo::Echo::address).collect();
                self.replace("endpoints.yaml", &a_service("default/endpoints", 80, &addresses));
            }
            Thing::Coming => self.replace("gateway.yaml", &[gateway(thing.expected(version) != Seen::Absent)]),
            Thing::Certificate => {
                let (certificate, key) = self.world.issue(version);
                self.replace(
                    "certificate.yaml",
                    &[json!({
                        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                        "metadata": {"namespace": "default", "name": "certificate"},
                        "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key)},
                    })],
                );
            }
        }
    }

    /// Puts a file in place whole.
    fn replace(&self, name: &str, objects: &[Value]) {
        let beside = self.root.path().join(name);
        fs::write(&beside, file_of(objects)).expect("written");
        fs::rename(beside, self.folder().join(name)).expect("renamed");
    }

    fn exchange_folder(&self, version: u64) {
        let link = self.folder().join("routes");
        if Thing::Folder.expected(version) == Seen::Absent {
            fs::remove_file(link).expect("it was there");
            return;
        }
        let target = self.root.path().join(format!("routes-{version}"));
        fs::create_dir(&target).expect("a new folder");
        for at in 0..FOLDER_ROUTES {
            let route = route(Thing::Folder, &format!("folder-{at}"), &format!("/{at}"), Some(version));
            fs::write(target.join(format!("{at}.yaml")), file_of(&[route])).expect("written");
        }
        let beside = self.root.path().join("routes-link");
        symlink(&target, &beside).expect("linked");
        fs::rename(beside, link).expect("renamed");
        // Nothing leads to the one before the last any more.
        if let Some(old) = version.checked_sub(2) {
            let _ = fs::remove_dir_all(self.root.path().join(format!("routes-{old}")));
        }
    }

    fn wait_served(&self, thing: Thing, version: u64, sockets: Sockets) {
        let started = Instant::now();
        let expected = thing.expected(version);
        loop {
            let seen = match thing {
                Thing::Certificate => self.shown(sockets),
                Thing::Coming => match ask(sockets.coming, &thing.request(0)) {
                    Ok(response) => thing.read(&response),
                    Err(_) => Ok(Seen::Absent),
                },
                Thing::Stays | Thing::Edited | Thing::Removed | Thing::Folder | Thing::Endpoints => {
                    let answer = ask(sockets.http, &thing.request(0));
                    answer.map_err(|err| err.to_string()).and_then(|response| thing.read(&response))
                }
            };
            if seen == Ok(expected) {
                return;
            }
            let waited = started.elapsed();
            assert!(
                waited < SERVED_WITHIN,
                "{}",
                complaint(thing, format!("{expected:?} is not served after {waited:?}, but {seen:?}"))
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The certificate that a handshake ends with now.
    fn shown(&self, sockets: Sockets) -> Result<Seen, String> {
        let host = ServerName::try_from(Thing::Stays.host()).expect("a host name");
        let mut client = rustls::ClientConnection::new(self.world.client(b"http/1.1"), host).expect("a client");
        let mut handshake = || -> io::Result<()> {
            let mut stream = TcpStream::connect_timeout(&sockets.https, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            while client.is_handshaking() {
                client.complete_io(&mut stream)?;
            }
            Ok(())
        };
        handshake().map_err(|err| err.to_string())?;
        self.world.read(client.peer_certificates())
    }
}

fn gateway(coming: bool) -> Value {
    let mut listeners = vec![
        json!({"name": "http", "protocol": "HTTP", "port": 80}),
        json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificateRefs": [{"name": "certificate"}]}}),
    ];
    if coming {
        listeners.push(json!({"name": "coming", "protocol": "HTTP", "port": COMING_PORT}));
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"namespace": "default", "name": "edge"},
        "spec": {"gatewayClassName": "any", "listeners": listeners},
    })
}

/// A route to the thing's Service that, when it has a version, tells the backend.
fn route(thing: Thing, name: &str, path: &str, version: Option<u64>) -> Value {
    let set = |version: u64| json!({"set": [{"name": "X-Version", "value": version.to_string()}]});
    let filter = version.map(|version| json!({"type": "RequestHeaderModifier", "requestHeaderModifier": set(version)}));
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "default", "name": name},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": [thing.host()],
            "rules": [{
                "matches": [{"path": {"type": "Exact", "value": path}}],
                "filters": filter.into_iter().collect::<Vec<_>>(),
                "backendRefs": [{"name": thing.name(), "port": 80}],
            }],
        },
    })
}
