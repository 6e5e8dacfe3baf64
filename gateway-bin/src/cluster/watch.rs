//! Everything that is watched: one task per kind, and one that follows what is installed.
//!
//! In: an API server. Out: what is installed, and for every object that it is now this, or gone. A watch that breaks is taken up
//! again by itself; until then what was told last holds. Of Secrets and ConfigMaps only the names and metadata are watched: whose
//! contents are wanted is fetched by name.
//!
//! Invariants: after `Listed` every object of a subject was told; an object that vanished while nobody looked is told gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use gateway_core::compile::Bundle;
use gateway_core::name::{GroupKind, Kind, ObjectName};
use kube::core::metadata::PartialObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::discover::{self, Installed, Resource, Subject};
use super::provision::MANAGED;

/// What was found out.
#[derive(Debug)]
pub(crate) enum Seen {
    /// This is installed now.
    Installed(Installed, Bundle),
    /// An object is now this; of Secrets and ConfigMaps only the metadata.
    Put(Subject, ObjectName, Value),
    /// An object is gone.
    Gone(Subject, ObjectName),
    /// All objects of a subject were told.
    Listed(Subject),
}

/// Where everything that is seen is told.
pub(crate) type Tell = Arc<dyn Fn(Seen) + Send + Sync>;

/// Watches everything there is to watch, for ever.
pub(crate) async fn follow(client: Client, extensions: Vec<GroupKind>, tell: Tell) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &discover::crds());
    let mut events = pin!(watcher(api, Config::default()).default_backoff());
    let mut crds: BTreeMap<String, PartialObjectMeta<DynamicObject>> = BTreeMap::new();
    let mut listing = BTreeMap::new();
    let mut watches: BTreeMap<Subject, Watch> = BTreeMap::new();
    let mut look_at = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = at(look_at) => {
                let is_known = look(&client, &extensions, &crds, &mut watches, &tell).await;
                look_at = (!is_known).then(|| tokio::time::Instant::now() + AGAIN);
                continue;
            }
        };
        let note = |crds: &mut BTreeMap<_, _>, crd: PartialObjectMeta<DynamicObject>| {
            let name = crd.name_any();
            if discover::concerns(&name, &extensions) {
                crds.insert(name, crd);
            }
        };
        match event {
            Some(Ok(watcher::Event::Init)) => listing.clear(),
            Some(Ok(watcher::Event::InitApply(crd))) => {
                note(&mut listing, crd);
                continue;
            }
            Some(Ok(watcher::Event::InitDone)) => crds = std::mem::take(&mut listing),
            Some(Ok(watcher::Event::Apply(crd))) => note(&mut crds, crd),
            Some(Ok(watcher::Event::Delete(crd))) => drop(crds.remove(&crd.name_any())),
            Some(Err(err)) => {
                tracing::warn!("cannot follow the CRDs: {}", told(&err));
                continue;
            }
            None => return,
        }
        if look_at.is_none() {
            look_at = Some(tokio::time::Instant::now() + TOGETHER);
        }
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A running watch.
struct Watch {
    resource: Resource,
    stop: oneshot::Sender<()>,
    task: JoinHandle<BTreeSet<ObjectName>>,
}

/// Looks what is installed, and watches that. False when it could not be found out.
async fn look(
    client: &Client,
    extensions: &[GroupKind],
    crds: &BTreeMap<String, PartialObjectMeta<DynamicObject>>,
    watches: &mut BTreeMap<Subject, Watch>,
    tell: &Tell,
) -> bool {
    let found = async {
        let discovered = discover::discover(client, extensions).await?;
        Ok((discovered.left_out(client, crds.keys()).await?, discovered.installed))
    };
    let installed = match found.await {
        Ok((None, installed)) => installed,
        Ok((Some(crd), _)) => {
            tracing::info!(crd, "is not served yet");
            return false;
        }
        Err::<_, kube::Error>(err) => {
            tracing::warn!("cannot find out what is installed: {}", told(&err));
            return false;
        }
    };
    tell(Seen::Installed(installed.clone(), discover::bundle(crds.values(), &installed)));
    let outdated = watches.iter().filter(|(subject, watch)| installed.get(subject) != Some(&watch.resource));
    let outdated: Vec<Subject> = outdated.map(|(subject, _)| subject.clone()).collect();
    let mut known = BTreeMap::new();
    for subject in outdated {
        let Some(watch) = watches.remove(&subject) else { continue };
        // It may have ended by itself.
        let _ = watch.stop.send(());
        let names = watch.task.await.unwrap_or_default();
        if installed.contains_key(&subject) {
            known.insert(subject, names);
        } else {
            names.into_iter().for_each(|name| tell(Seen::Gone(subject.clone(), name)));
        }
    }
    for (subject, resource) in installed {
        if watches.contains_key(&subject) {
            continue;
        }
        let (stop, stopped) = oneshot::channel();
        let task = One {
            client: client.clone(),
            known: known.remove(&subject).unwrap_or_default(),
            subject: subject.clone(),
            resource: resource.clone(),
            tell: Arc::clone(tell),
        };
        watches.insert(subject, Watch { resource, stop, task: tokio::spawn(task.run(stopped)) });
    }
    true
}

/// The watch of one subject.
struct One {
    client: Client,
    subject: Subject,
    resource: Resource,
    known: BTreeSet<ObjectName>,
    tell: Tell,
}

impl One {
    async fn run(self, stopped: oneshot::Receiver<()>) -> BTreeSet<ObjectName> {
        match self.subject {
            Subject::Object(Kind::Secret | Kind::ConfigMap) => self.watch::<PartialObjectMeta<DynamicObject>>(stopped).await,
            Subject::Object(_)
            | Subject::Deployment
            | Subject::ServiceAccount
            | Subject::OwnConfigMap
            | Subject::ServiceEvent
            | Subject::ServiceRange => self.watch::<DynamicObject>(stopped).await,
        }
    }

    async fn watch<K>(mut self, mut stopped: oneshot::Receiver<()>) -> BTreeSet<ObjectName>
    where
        K: kube::Resource<DynamicType = ApiResource> + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
    {
        let api: Api<K> = Api::all_with(self.client.clone(), &self.resource.api);
        let mut events = pin!(watcher(api, selection(&self.subject)).default_backoff());
        let mut fresh = BTreeSet::new();
        let mut was_listed = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = &mut stopped => return self.known,
            };
            match event {
                Some(Ok(watcher::Event::Init)) => fresh.clear(),
                Some(Ok(watcher::Event::InitApply(object))) => {
                    // Known at once: this listing may break off, and the next not have it any more.
                    let name = self.put(object);
                    self.known.insert(name.clone());
                    fresh.insert(name);
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    for name in std::mem::replace(&mut self.known, std::mem::take(&mut fresh)) {
                        if !self.known.contains(&name) {
                            (self.tell)(Seen::Gone(self.subject.clone(), name));
                        }
                    }
                    was_listed = true;
                    (self.tell)(Seen::Listed(self.subject.clone()));
                }
                Some(Ok(watcher::Event::Apply(object))) => {
                    let name = self.put(object);
                    self.known.insert(name);
                }
                Some(Ok(watcher::Event::Delete(object))) => {
                    let name = name_of(&object);
                    self.known.remove(&name);
                    (self.tell)(Seen::Gone(self.subject.clone(), name));
                }
                Some(Err(err)) => {
                    tracing::warn!(kind = %self.resource.api.kind, "cannot watch: {}", told(&err));
                    if self.resource.is_optional && !was_listed && is_refusal(&err) {
                        // We do without, until somebody permits it.
                        was_listed = true;
                        (self.tell)(Seen::Listed(self.subject.clone()));
                    }
                }
                None => return self.known,
            }
        }
    }

    fn put<K: kube::Resource<DynamicType = ApiResource> + Serialize>(&self, mut object: K) -> ObjectName {
        let name = name_of(&object);
        object.meta_mut().managed_fields = None;
        match serde_json::to_value(&object) {
            Ok(mut document) => {
                // Lists leave them out, and metadata alone have others.
                document["apiVersion"] = Value::from(self.resource.api.api_version.as_str());
                document["kind"] = Value::from(self.resource.api.kind.as_str());
                (self.tell)(Seen::Put(self.subject.clone(), name.clone(), document));
            }
            Err(err) => tracing::warn!(kind = %self.resource.api.kind, %name, "passed over: {err}"),
        }
        name
    }
}

fn name_of<K: kube::Resource>(object: &K) -> ObjectName {
    ObjectName::new(object.meta().namespace.as_deref().unwrap_or(""), object.meta().name.as_deref().unwrap_or(""))
}

/// Which objects of a subject are of interest.
fn selection(subject: &Subject) -> Config {
    match subject {
        Subject::Deployment | Subject::ServiceAccount | Subject::OwnConfigMap => Config::default().labels(MANAGED),
        Subject::ServiceEvent => Config::default().fields("involvedObject.kind=Service,type=Warning"),
        Subject::Object(_) | Subject::ServiceRange => Config::default(),
    }
}

fn is_refusal(err: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = err
    else {
        return false;
    };
    status.code == 403 || status.code == 404
}

/// An error with its causes.
pub(crate) fn told(err: &(dyn std::error::Error + 'static)) -> String {
    let mut told = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told.push_str(": ");
            told.push_str(&cause_told);
        }
        source = cause.source();
    }
    told
}

/// CRDs that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(300);
/// How long after a failure it is looked again.
const AGAIN: Duration = Duration::from_secs(2);
