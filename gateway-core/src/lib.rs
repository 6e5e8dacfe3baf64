//! Gateway API semantics as values: objects in, a snapshot and statuses out; a request head in, a decision out.
//!
//! ```text
//!  objects and facts ─► Compiler::apply ─► Update { snapshot, statuses, problems, needs }
//!                                             │
//!  a request head ─► admit ─► decide ◄────────┘        Decision: answer | forward | refuse
//! ```
//!
//! The whole crate is two verbs. **Compile**: [`compile::Compiler::apply`] takes changes of objects and facts as one transaction
//! and gives an immutable [`snapshot::Snapshot`] with the status of every object concerned. **Decide**: [`admit::admit`] finds
//! the listener of a request and puts its path into normal form, [`decide::decide`] finds the rule that wins and says what to
//! do. [`explain::explain`] is the same walk with its reasons kept. Nothing here waits, reads a clock, a file or a socket, or
//! draws a random number; whoever embeds it supplies time, addresses and turns as values.
//!
//! ```
//! use gateway_core::admit::{Arrival, admit};
//! use gateway_core::compile::{Change, Compiler, Options};
//! use gateway_core::decide::{Decision, decide};
//! use gateway_core::resource::{self, Reader, Reading};
//! use gateway_core::snapshot::{Socket, Transport, Turn};
//! use gateway_core::support::Support;
//!
//! let documents = [
//!     serde_json::json!({
//!         "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
//!         "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
//!     }),
//!     serde_json::json!({
//!         "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "old", "namespace": "shop"},
//!         "spec": {"parentRefs": [{"name": "web"}], "rules": [{"filters": [
//!             {"type": "RequestRedirect", "requestRedirect": {"hostname": "shop.example.com", "statusCode": 301}}
//!         ]}]},
//!     }),
//! ];
//! let changes = documents.into_iter().map(|document| match resource::read(document, &Reader::default()) {
//!     Ok(Reading::Object { object, .. }) => Change::Put(object),
//!     other => panic!("{other:?}"),
//! });
//! let mut compiler = Compiler::new(Options { support: Support::ALL, ..Options::default() });
//! let update = compiler.apply(changes);
//!
//! let head = http::Request::get("/cart").header("host", "example.com").body(()).unwrap().into_parts().0;
//! let arrival = Arrival { socket: Socket { address: None, port: 80, transport: Transport::Tcp }, tls: None };
//! let admitted = admit(&update.snapshot, &arrival, &head).expect("the listener answers for all hosts");
//! let Decision::Answer(answer) = decide(&admitted, &head, Turn::take) else { panic!("it is a redirect") };
//! assert_eq!(answer.headers[0].1, "http://shop.example.com/cart");
//!
//! // Why: the same walk, with what each candidate came to.
//! let explanation = gateway_core::explain::explain(&admitted, &head).to_string();
//! assert!(explanation.contains("HTTPRoute shop/old rule 0 match 0, host *, prefix /: wins"), "{explanation}");
//!
//! // What became of each object: its conditions, as they would be written into its status.
//! for (object, status) in compiler.statuses() {
//!     for (part, conditions) in status.parts() {
//!         for condition in conditions {
//!             println!("{object} {part}: {} {:?}, {}", condition.kind, condition.status, condition.message);
//!         }
//!     }
//! }
//! # use gateway_core::condition::{ConditionType, Truth};
//! # let route = compiler.statuses().iter().find(|(object, _)| object.to_string() == "HTTPRoute shop/old").unwrap().1;
//! # let is_accepted = |(_, conditions): &(_, &[gateway_core::condition::Condition])| {
//! #     conditions.iter().any(|one| one.kind == ConditionType::Accepted && one.status == Truth::True)
//! # };
//! # assert!(route.parts().iter().all(is_accepted));
//! ```
//!
//! # What it is for
//! **To lint manifests.** Compile with [`Support::ALL`](support::Support::ALL), and list [`compile::Compiler::statuses`] and
//! [`compile::Compiler::problems`]: each condition has the reason of the specification and a message for whoever wrote the object.
//! [`resource::read`] says before that what an API server would refuse. `examples/lint.rs` does so for a folder.
//!
//! **To simulate a change.** [`diff::diff`] compares what two compilers made: it derives the requests, connections and datagrams that
//! could tell them apart, decides each on both sides, and gives those that are treated differently, with the statuses that change.
//! `examples/migrate.rs` does so for two folders.
//!
//! **To build a proxy.** State what it performs, keep one [`compile::Compiler`], and
//! 1. turn every event of the source of objects into a [`compile::Change`], those that belong together into one `apply`;
//! 2. listen on the [sockets](snapshot::Snapshot::sockets) of the new snapshot, and report what was bound as a [`compile::Fact`];
//! 3. for a connection, ask [`decide::decide_stream`] at its ClientHello or its accept: pass its bytes on, or speak HTTP;
//! 4. for a request, ask [`admit::admit`], run the [guards](admit::Admitted::guards) of its listener, ask [`decide::decide`], and
//!    perform the tasks of the decision in their order; for a datagram of a new client, ask [`decide::decide_datagram`];
//! 5. write what [`status::merge`] makes of the statuses of each update;
//! 6. tell the time by a fact at the start and whenever [`next`](compile::Update::next) of an update has come, without which no certificate
//!    expires; resolve the [`names`](compile::Update::names) of updates and tell by facts what they lead to, without which backends of host
//!    names have no endpoint; and where Gateways have addresses of their own, tell which they were given.
//!
//! Load a snapshot once per request; it never changes, and shares with the next one what did not. `examples/proxy.rs` is such a loop
//! without its sockets.
//!
//! # Support
//! A proxy need not perform all of the Gateway API. [`support::Support`] is the list of what it does, and the compiler judges for it:
//! a listener, route, filter or policy that asks for more gets the condition that the specification has for it, its traffic is
//! refused and never mistreated, and `supportedFeatures` claims only what is on the list. With [`Support::of`](support::Support::of) a
//! first proxy can name [`Capability::Http`](support::Capability::Http) alone, and add the next one on the day it performs it. A
//! decision never asks for what is not on the list.
//!
//! # Words
//! Words are the specification's: Gateway, Listener, Route, Rule, Match, Filter, BackendRef, ReferenceGrant. A few are ours. A
//! **fact** is what no object says: a socket was bound, an address allotted. **Support** is what the data plane performs; what it
//! does not gets its condition, so that nothing is accepted and ignored. A **turn** is the number of a request at a rule with
//! several backends; shares are exact over any window of turns. A **step** is a filter as data; a **task** is what becomes of it for
//! one request. A **guard** is a filter of a listener, which runs before a rule is looked for. A **fingerprint** stands for a content:
//! what a proxy derives from configuration (trust, certificates, pools) is kept by it. A **verdict** is what a candidate came to. A **problem** is what a person
//! should know and no condition can say. **Needs** are the objects a Gateway depends on, existing or not.
//!
//! # Invariants
//! 1. Any sequence of changes leaves what compiling the final objects and facts at once gives.
//! 2. The order of objects, and of changes to different objects, does not matter.
//! 3. The index finds what a naive scan by rank finds.
//! 4. Statuses written back yield no further change.
//! 5. A broken object changes only its own status and traffic, and those of what refers to it.
//! 6. Shares are exact over any window.
//! 7. `explain` agrees with `decide`.
//! 8. No input panics.
//! 9. Beyond one linear pass over the head, the cost of `decide` is bounded by the configuration.
//!
//! # Paths
//! `admit` makes one form of a path, in which it is matched and in which it is forwarded: dot segments are resolved (`%2e` is a
//! dot), runs of `/` merged (a Gateway's parameters can switch that off), escaped characters that need no escape decoded, other
//! escapes spelt in upper case. `%2F` stays and never separates segments. `%00`, `\` and broken escapes are refused with 400. The
//! query is left as it came.
//!
//! # Choices
//! Where the specification leaves a choice, or asks that one be documented:
//! - A Gateway with its ListenerSets has at most 16,384 listeners; those beyond are told so by their conditions.
//! - A regular expression is of RE2's dialect, without look-around and back references, and matches the whole of a value of at most 8 KiB. A
//!   request for which it would have to be tried on a longer one is refused (414, 431 or 400), not left to another rule.
//! - A query parameter is compared decoded, `+` as a blank.
//! - A preflight is matched by what it asks about: its method, and each header that it names as there, whatever the value asked for. The
//!   rule found answers it.
//! - What cannot be performed keeps its place and refuses there, so that its traffic falls to nothing that was meant for less. What a rule
//!   matches that was dropped is answered 500, be it one of a route or all of them; a route of which none is left is not accepted, and
//!   no listener counts it. A listener that is not accepted for what it asks (TLS mode or options, client validation, filters) keeps its
//!   name, against younger ones too: connections to it are closed, or answered 500 where it speaks HTTP without TLS. Only what states no
//!   place in due form has none: a match whose path, or whose service and method, cannot be read is left out, and so is a listener of
//!   unknown protocol, port or host name. Routes of bytes carry no filter that could be missed: one that is not valid makes way for the next.
//! - Within a host name the exact path goes first, then regular expressions, then prefixes.
//! - Filters run in the order of their list, the rule's before those of the backend that was chosen, but for two things: an ExternalAuth goes
//!   before the first rewrite or mirror of its list, and what answers (a redirect, a direct response) does so once all others of its list
//!   have run, wherever it stands. Those of a listener run before a rule is looked for, and so before any CORS.
//! - HTTPS and TLS listeners of one port are told apart by the server name of the handshake, the most specific name first.
//! - An object that states no `creationTimestamp`, as in files, is younger than any that does; the annotation `pingora-gateway.dev/order`, a
//!   whole number, goes before ages, smaller first, and is 0 where it is missing or no number.
//!
//! # Rooms
//! Each module imports only those listed after it: [`compile`], [`diff`], [`explain`], [`decide`], [`admit`], [`support`], [`status`],
//! [`snapshot`], [`condition`], [`resource`], [`name`].

pub mod admit;
pub mod compile;
pub mod condition;
pub mod decide;
pub mod diff;
pub mod explain;
pub mod name;
pub mod resource;
pub mod snapshot;
pub mod status;
pub mod support;
