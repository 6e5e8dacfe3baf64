//! Both sides of the wire over a real socket on loopback.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::name::ObjectName;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::authority::Authority;
use super::follow::{Controller, Ends, Whole, follow};
use super::serve::{Caller, Said, Tell, Verify, serve};
use super::{Acknowledged, FromController, Held, Put, Refused, Step};

/// A controller that believes the token `good`, and what it heard.
struct Scene {
    folder: tempfile::TempDir,
    address: SocketAddr,
    heard: Mutex<Receiver<Said>>,
    _stop: watch::Sender<bool>,
}

impl Scene {
    async fn start(trusted: &Authority, served: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), trusted.certificate()).unwrap();
        std::fs::write(folder.path().join("token"), "good\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = channel();
        let tell: Tell = Arc::new(move |said| drop(tell.send(said)));
        let verify: Verify = Arc::new(|token| {
            Box::pin(async move {
                let caller = Caller { account: ObjectName::new("shop", "web"), pod: Some("web-1".into()) };
                if token == "good" { Ok(caller) } else { Err("the token is not good".into()) }
            })
        });
        let identity = served.issue().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move { serve(listener, &identity, verify, tell, stopped).await });
        Self { folder, address, heard: Mutex::new(heard), _stop: stop }
    }

    fn controller(&self) -> Controller {
        Controller {
            address: self.address,
            authority: self.folder.path().join("ca.crt"),
            token: self.folder.path().join("token"),
        }
    }

    /// The next thing that was heard; nothing within `time` is `None`.
    fn hear(&self, time: Duration) -> Option<Said> {
        let heard = self.heard.lock().unwrap();
        tokio::task::block_in_place(|| heard.recv_timeout(time).ok())
    }
}

/// A proxy that holds one object.
fn start_proxy(controller: Controller) -> (mpsc::UnboundedSender<(u64, Acknowledged)>, Receiver<Whole>) {
    start_sealing_proxy(controller, |_| ())
}

/// The same, and what becomes of keys of sessions.
fn start_sealing_proxy(
    controller: Controller,
    seal: impl Fn(&[Vec<u8>]) + Send + Sync + 'static,
) -> (mpsc::UnboundedSender<(u64, Acknowledged)>, Receiver<Whole>) {
    let (acknowledge, acknowledged) = mpsc::unbounded_channel();
    let (take, taken) = channel();
    tokio::spawn(async move {
        let held = || vec![Held { key: "|Secret|shop/a".into(), version: 7 }];
        follow(&controller, Ends { held, take: move |whole| take.send(whole).is_ok(), seal, acknowledged }).await;
    });
    (acknowledge, taken)
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_known_by_its_token_and_told_steps_whole_which_it_acknowledges() {
    let authority = Authority::create().unwrap();
    let scene = Scene::start(&authority, &authority).await;
    let (acknowledge, taken) = start_proxy(scene.controller());
    let Some(Said::Joined { proxy, caller, held, outbox }) = scene.hear(LONG) else { panic!("nobody joined") };
    assert_eq!((caller.account.as_str(), caller.pod.as_deref()), ("shop/web", Some("web-1")));
    assert_eq!(held, [Held { key: "|Secret|shop/a".into(), version: 7 }]);
    let part = |name: &str, continues| {
        let put = Put { key: name.into(), version: 1, object: name.as_bytes().to_vec() };
        FromController::from(Step { number: 5, puts: vec![put], removed: vec![], continues })
    };
    outbox.send(part("a", true)).unwrap();
    outbox.send(part("b", false)).unwrap();
    let whole = tokio::task::block_in_place(|| taken.recv_timeout(LONG)).unwrap();
    assert_eq!(whole.number, 5);
    assert_eq!(whole.puts.iter().map(|put| put.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let refused = vec![Refused { port: 80, is_udp: false, why: "in use".into() }];
    // What came by another connection is none of this one's.
    acknowledge.send((whole.connection + 1, Acknowledged { step: 5, refused: vec![] })).unwrap();
    acknowledge.send((whole.connection, Acknowledged { step: 5, refused: refused.clone() })).unwrap();
    let Some(Said::Acknowledged { proxy: by, acknowledged }) = scene.hear(LONG) else { panic!("nothing acknowledged") };
    assert_eq!((by, acknowledged), (proxy, Acknowledged { step: 5, refused }));
    drop(outbox);
    let Some(Said::Left { proxy: by }) = scene.hear(LONG) else { panic!("it did not leave") };
    assert_eq!(by, proxy);
    assert!(matches!(scene.hear(LONG), Some(Said::Joined { .. })), "it comes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nobody_joins() {
    let authority = Authority::create().unwrap();
    let scene = Scene::start(&authority, &authority).await;
    std::fs::write(scene.folder.path().join("token"), "bad").unwrap();
    let (_acknowledge, _taken) = start_proxy(scene.controller());
    assert!(scene.hear(Duration::from_millis(500)).is_none());
    std::fs::write(scene.folder.path().join("token"), "good").unwrap();
    assert!(matches!(scene.hear(LONG), Some(Said::Joined { .. })), "a renewed token is read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_of_another_authority_is_not_believed() {
    let (ours, other) = (Authority::create().unwrap(), Authority::create().unwrap());
    let scene = Scene::start(&ours, &other).await;
    let (_acknowledge, _taken) = start_proxy(scene.controller());
    assert!(scene.hear(Duration::from_millis(500)).is_none());
}

#[test]
fn an_authority_that_was_kept_vouches_as_before() {
    let authority = Authority::create().unwrap();
    let again = Authority::read(authority.certificate(), authority.key()).unwrap();
    assert_eq!(again.certificate(), authority.certificate());
    assert!(again.issue().unwrap().certificate.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_sessions_come_before_the_first_step_the_same_from_every_controller_and_others_for_each_gateway() {
    let authority = Authority::create().unwrap();
    let again = Authority::read(authority.certificate(), authority.key()).unwrap();
    let key = |authority: &Authority, name: &str| authority.session_secret().key(&ObjectName::new("shop", name));
    assert_eq!(key(&authority, "web"), key(&again, "web"));
    assert_ne!(key(&authority, "web"), key(&authority, "other"));
    assert_ne!(key(&authority, "web"), key(&Authority::create().unwrap(), "web"));
    let scene = Scene::start(&authority, &authority).await;
    let (sealed, seals) = channel();
    let (_acknowledge, taken) = start_sealing_proxy(scene.controller(), move |keys| drop(sealed.send(keys.to_vec())));
    let Some(Said::Joined { outbox, .. }) = scene.hear(LONG) else { panic!("nobody joined") };
    outbox.send(FromController { session_keys: vec![key(&authority, "web")], ..FromController::default() }).unwrap();
    outbox.send(FromController::from(Step { number: 1, ..Step::default() })).unwrap();
    tokio::task::block_in_place(|| taken.recv_timeout(LONG)).unwrap();
    assert_eq!(seals.try_recv().unwrap(), [key(&authority, "web")]);
}
