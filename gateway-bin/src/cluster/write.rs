//! Writes and single reads, carried out: statuses, what is made for Gateways, finalizers, Events.
//!
//! In: what is to be done. Out: how it ended, told when it has. What is to be written, and whether again, is decided by who asked.
//!
//! Invariants: an object that exists and is not ours is never overwritten or deleted; nothing is written any more once we do not lead; no
//! request is waited for without end.

use std::sync::Arc;

use gateway_core::name::{ObjectId, ObjectName};
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::child::{Child, ChildId};
use super::lease::Leader;
use super::provision;
use super::watch::told;
use super::within;

/// Carries out writes, several at a time.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    runtime: Handle,
    seats: Arc<Semaphore>,
    leads: watch::Receiver<Leader>,
    tell: Tell,
}

/// Where the ends are told.
pub(crate) type Tell = Arc<dyn Fn(Done) + Send + Sync>;

/// How something ended.
#[derive(Debug)]
pub(crate) enum Done {
    /// A status was written, or not.
    Status(ObjectId, Outcome),
    /// An object was fetched; `None` where there is none.
    Fetched(ObjectId, Result<Option<Value>, String>),
    /// A child was written.
    Applied(ChildId, Result<Value, Failure>),
    /// A child was deleted.
    Deleted(ChildId, Result<(), String>),
    /// The finalizer of a class is as it should be, or not.
    Finalized(ObjectName, Result<(), String>),
}

/// How a write of a status ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The object as it is now.
    Written(Value),
    /// Somebody else wrote in between; the object as it is now.
    Conflict(Value),
    /// The object is gone.
    Gone,
    /// It did not work.
    Failed,
}

/// Why a child could not be written.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// Whether nothing was tried, as another leads now.
    pub(crate) is_too_late: bool,
    /// Whether it is the manifest or what is there already that is in the way, rather than the way to the API server.
    pub(crate) is_refusal: bool,
}

impl Writer {
    /// Carries out writes on a runtime.
    pub(crate) fn new(client: Client, runtime: Handle, leads: watch::Receiver<Leader>, tell: Tell) -> Self {
        Self { client, runtime, seats: Arc::new(Semaphore::new(AT_A_TIME)), leads, tell }
    }

    /// Writes a status, if the object is still of this version.
    pub(crate) fn status(&self, id: ObjectId, resource: &ApiResource, resource_version: String, status: Value) {
        let api = self.api(resource, id.name.namespace());
        let too_late = Done::Status(id.clone(), Outcome::Failed);
        self.write(Some(too_late), async move |tell| {
            let patch = Patch::Merge(json!({"metadata": {"resourceVersion": resource_version}, "status": status}));
            let name = id.name.name();
            let outcome = match within(api.patch_status(name, &PatchParams::default(), &patch)).await {
                Ok(object) => Outcome::Written(value(&object)),
                Err(kube::Error::Api(status)) if status.code == 409 => match within(api.get_opt(name)).await {
                    Ok(Some(object)) => Outcome::Conflict(value(&object)),
                    Ok(None) => Outcome::Gone,
                    Err(_) => Outcome::Failed,
                },
                Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
                Err(err) => {
                    tracing::warn!(object = %id, "its status cannot be written: {}", told(&err));
                    Outcome::Failed
                }
            };
            tell(Done::Status(id, outcome));
        });
    }

    /// Fetches an object.
    pub(crate) fn fetch(&self, id: ObjectId, resource: &ApiResource) {
        let api = self.api(resource, id.name.namespace());
        let (api_version, kind) = (resource.api_version.clone(), resource.kind.clone());
        self.carry_out(async move |tell| {
            let found = within(api.get_opt(id.name.name())).await.map_err(|err| told(&err));
            let found = found.map(|object| {
                object.map(|object| {
                    let mut document = value(&object);
                    document["apiVersion"] = Value::from(api_version);
                    document["kind"] = Value::from(kind);
                    document
                })
            });
            tell(Done::Fetched(id, found));
        });
    }

    /// Writes a child, as ours alone. `is_known` says that it was seen to be ours.
    pub(crate) fn apply(&self, child: Child, resource: &ApiResource, is_known: bool, controller_name: String) {
        let api = self.api(resource, child.name.namespace());
        let failure = Failure { message: NOT_LEADING.to_owned(), is_too_late: true, is_refusal: false };
        self.write(Some(Done::Applied(child.id(), Err(failure))), async move |tell| {
            let applied = apply(&api, &child, is_known, &controller_name).await;
            tell(Done::Applied(child.id(), applied));
        });
    }

    /// Deletes a child, if it is still the same object.
    pub(crate) fn delete(&self, id: ChildId, resource: &ApiResource, uid: Option<String>) {
        let api = self.api(resource, id.1.namespace());
        let too_late = Done::Deleted(id.clone(), Err(NOT_LEADING.to_owned()));
        self.write(Some(too_late), async move |tell| {
            let params = DeleteParams {
                preconditions: Some(Preconditions { uid, ..Preconditions::default() }),
                ..DeleteParams::background()
            };
            let deleted = match within(api.delete(id.1.name(), &params)).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
                Err(err) => Err(told(&err)),
            };
            tell(Done::Deleted(id, deleted));
        });
    }

    /// Puts a finalizer on a class, or takes it off, whatever else is there.
    pub(crate) fn finalize(&self, name: ObjectName, resource: &ApiResource, finalizer: &'static str, is_wanted: bool) {
        let api = self.api(resource, name.namespace());
        let too_late = Done::Finalized(name.clone(), Err(NOT_LEADING.to_owned()));
        self.write(Some(too_late), async move |tell| {
            let finalized = finalize(&api, &name, finalizer, is_wanted).await.map_err(|err| told(&err));
            tell(Done::Finalized(name, finalized));
        });
    }

    /// Tells people something about an object, where `kubectl describe` shows it.
    pub(crate) fn tell_people(&self, about: ObjectReference, is_bad: bool, reason: String, message: String) {
        let api: Api<Event> = Api::namespaced(self.client.clone(), about.namespace.as_deref().unwrap_or("default"));
        self.write(None, async move |_| {
            let now = Timestamp::now();
            let name = about.name.clone().unwrap_or_default();
            let name = format!("{}.{:x}", name.chars().take(200).collect::<String>(), now.as_nanosecond());
            let event = Event {
                metadata: ObjectMeta { name: Some(name), namespace: about.namespace.clone(), ..ObjectMeta::default() },
                involved_object: about,
                type_: Some(if is_bad { "Warning" } else { "Normal" }.to_owned()),
                reason: Some(reason.clone()),
                message: Some(message.chars().take(1000).collect()),
                action: Some(reason),
                event_time: Some(MicroTime(now)),
                reporting_component: Some("pingora-gateway.dev/controller".to_owned()),
                reporting_instance: Some("controller".to_owned()),
                ..Event::default()
            };
            if let Err(err) = within(api.create(&PostParams::default(), &event)).await {
                tracing::info!("an Event could not be written: {}", told(&err));
            }
        });
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }

    /// Carries out a write; once we do not lead any more it has ended as `too_late` says.
    fn write<F>(&self, too_late: Option<Done>, work: impl FnOnce(Tell) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let leads = self.leads.clone();
        self.carry_out(async move |tell| {
            let is_leading = *leads.borrow() == Leader::Own;
            match too_late {
                _ if is_leading => work(tell).await,
                Some(done) => tell(done),
                None => {}
            }
        });
    }

    fn carry_out<F>(&self, work: impl FnOnce(Tell) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (seats, tell) = (Arc::clone(&self.seats), Arc::clone(&self.tell));
        self.runtime.spawn(async move {
            // The semaphore is never closed.
            let _seat = seats.acquire_owned().await;
            work(tell).await;
        });
    }
}

async fn apply(api: &Api<DynamicObject>, child: &Child, is_known: bool, controller_name: &str) -> Result<Value, Failure> {
    let failure = |err: kube::Error| {
        let refusal = if let kube::Error::Api(status) = &err { Some(status) } else { None };
        Failure {
            is_too_late: false,
            is_refusal: refusal.is_some_and(|status| matches!(status.code, 400 | 403 | 422)),
            message: refusal.map_or_else(|| told(&err), |status| status.message.clone()),
        }
    };
    let name = child.name.name();
    if !is_known {
        let found = within(api.get_opt(name)).await.map_err(failure)?;
        let is_foreign = found.is_some_and(|found| provision::owner_of(&value(&found), controller_name).is_none());
        if is_foreign {
            let message = format!(
                "there is a {} {} already that is not ours",
                child.manifest["kind"].as_str().unwrap_or("object"),
                child.name
            );
            return Err(Failure { message, is_too_late: false, is_refusal: true });
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = within(api.patch(name, &params, &Patch::Apply(&child.manifest))).await;
    applied.map(|object| value(&object)).map_err(failure)
}

async fn finalize(api: &Api<DynamicObject>, name: &ObjectName, finalizer: &str, is_wanted: bool) -> kube::Result<()> {
    let Some(found) = within(api.get_opt(name.name())).await? else { return Ok(()) };
    let mut finalizers = found.metadata.finalizers.clone().unwrap_or_default();
    let is_there = finalizers.iter().any(|one| one == finalizer);
    // What is about to go takes no new ones.
    if is_there == is_wanted || (is_wanted && found.metadata.deletion_timestamp.is_some()) {
        return Ok(());
    }
    finalizers.retain(|one| one != finalizer);
    if is_wanted {
        finalizers.push(finalizer.to_owned());
    }
    let version = &found.metadata.resource_version;
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}}));
    within(api.patch(name.name(), &PatchParams::default(), &patch)).await.map(drop)
}

fn value(object: &DynamicObject) -> Value {
    // What came as JSON goes as JSON.
    serde_json::to_value(object).unwrap_or_default()
}

/// By what name the API server knows which fields are ours.
const FIELD_MANAGER: &str = "pingora-gateway";
const AT_A_TIME: usize = 16;
const NOT_LEADING: &str = "another controller leads now";
