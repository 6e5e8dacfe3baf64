//! Both sides of the wire over a real socket on loopback.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::name::ObjectName;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::authority::Authority;
use super::follow::{Controller, Ends, Whole, follow};
use super::serve::{Caller, Said, Tell, Verify, serve};
use super::{Acknowledged, FromController, FromProxy, Held, Hello, Put, Refused, Step};

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
    let joined = scene.hear(LONG);
    let Some(Said::Joined { proxy, caller, held, release, outbox }) = joined else { panic!("{joined:?}") };
    assert_eq!(release, env!("CARGO_PKG_VERSION"));
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

/// What the releases before and after this one say, field by field, as far as it can differ.
#[derive(Clone, PartialEq, prost::Message)]
struct EarlierStep {
    #[prost(uint64, tag = "1")]
    number: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LaterStep {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(message, repeated, tag = "2")]
    puts: Vec<LaterPut>,
    #[prost(string, repeated, tag = "90")]
    reasons: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LaterPut {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(fixed64, tag = "2")]
    version: u64,
    #[prost(bytes = "vec", tag = "3")]
    object: Vec<u8>,
    #[prost(uint32, tag = "91")]
    weight: u32,
}

#[test]
fn releases_understand_each_other_by_passing_over_what_they_do_not_know() {
    let put = LaterPut { key: "|Secret|shop/a".into(), version: 7, object: b"{}".to_vec(), weight: 3 };
    let later = LaterStep { number: 5, puts: vec![put], reasons: vec!["x".into()] }.encode_to_vec();
    let known = Put { key: "|Secret|shop/a".into(), version: 7, object: b"{}".to_vec() };
    assert_eq!(Step::decode(&*later).unwrap(), Step { number: 5, puts: vec![known], ..Step::default() });
    let ours = Step { number: 5, removed: vec!["a".into()], continues: true, ..Step::default() };
    assert_eq!(EarlierStep::decode(&*ours.encode_to_vec()).unwrap(), EarlierStep { number: 5 });
    let earlier = EarlierStep { number: 5 }.encode_to_vec();
    assert_eq!(Step::decode(&*earlier).unwrap(), Step { number: 5, ..Step::default() });
}

#[test]
fn what_is_said_is_written_as_it_was_in_the_first_release() {
    let held = vec![Held { key: "k".into(), version: 1 }];
    let hello = FromProxy { hello: Some(Hello { held, release: "r".into() }), acknowledged: None };
    let refused = vec![Refused { port: 80, is_udp: true, why: "w".into() }];
    let acknowledged = FromProxy { hello: None, acknowledged: Some(Acknowledged { step: 2, refused }) };
    let put = Put { key: "k".into(), version: 1, object: b"o".to_vec() };
    let step = FromController::from(Step { number: 3, puts: vec![put], removed: vec!["g".into()], continues: true });
    let told = FromController {
        elsewhere: Some("e".into()),
        refused: Some("n".into()),
        session_keys: vec![vec![9]],
        ..FromController::default()
    };
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let rows = [
        (hex(hello.encode_to_vec()), "0a110a0c0a016b110100000000000000120172"),
        (hex(acknowledged.encode_to_vec()), "120b08021207085010011a0177"),
        (hex(step.encode_to_vec()), "0a180803120f0a016b1101000000000000001a016f1a01672001"),
        (hex(told.encode_to_vec()), "1201651a016e220109"),
    ];
    for (written, expected) in rows {
        assert_eq!(written, expected);
    }
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
