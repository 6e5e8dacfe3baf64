//! What controller and proxies say to each other: objects, never compiled configuration.
//!
//! One stream per proxy, opened by the proxy. It says what it holds; the controller sends the difference and every further one in
//! steps, each a transaction; the proxy acknowledges a step once traffic follows it and every port was tried. The messages are
//! protobuf over gRPC, written down here instead of in a `.proto` file: nobody else speaks this, and no compiler of it is needed.
//!
//! Invariants: a field keeps its number for ever; what a release does not know it passes over, so that a controller and proxies of
//! neighbouring releases understand each other.

pub(crate) mod authority;
pub(crate) mod follow;
pub(crate) mod serve;

/// What a proxy says.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FromProxy {
    /// First, and only then.
    #[prost(message, optional, tag = "1")]
    pub(crate) hello: Option<Hello>,
    #[prost(message, optional, tag = "2")]
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// What a proxy has when it connects.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(message, repeated, tag = "1")]
    pub(crate) held: Vec<Held>,
    /// The release of the proxy, for people.
    #[prost(string, tag = "2")]
    pub(crate) release: String,
}

/// An object that a proxy has.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Held {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(fixed64, tag = "2")]
    pub(crate) version: u64,
}

/// A step is in force.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Acknowledged {
    #[prost(uint64, tag = "1")]
    pub(crate) step: u64,
    /// All ports that could not be opened.
    #[prost(message, repeated, tag = "2")]
    pub(crate) refused: Vec<Refused>,
}

/// A port that could not be opened.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Refused {
    #[prost(uint32, tag = "1")]
    pub(crate) port: u32,
    #[prost(bool, tag = "2")]
    pub(crate) is_udp: bool,
    /// The system's reason.
    #[prost(string, tag = "3")]
    pub(crate) why: String,
}

/// What a controller says.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FromController {
    #[prost(message, optional, tag = "1")]
    pub(crate) step: Option<Step>,
    /// Another controller leads: ask there, at this address and port.
    #[prost(string, optional, tag = "2")]
    pub(crate) elsewhere: Option<String>,
    /// The proxy is told nothing, for this reason.
    #[prost(string, optional, tag = "3")]
    pub(crate) refused: Option<String>,
    /// Before the first step: the keys of the Gateway's sessions, of 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) session_keys: Vec<Vec<u8>>,
}

/// One transaction, or a part of one.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Step {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    #[prost(message, repeated, tag = "2")]
    pub(crate) puts: Vec<Put>,
    /// Keys of objects that the proxy needs no more.
    #[prost(string, repeated, tag = "3")]
    pub(crate) removed: Vec<String>,
    /// Whether the next message belongs to the same transaction.
    #[prost(bool, tag = "4")]
    pub(crate) continues: bool,
}

/// An object is now this.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Put {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(fixed64, tag = "2")]
    pub(crate) version: u64,
    /// The object as JSON.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) object: Vec<u8>,
}

impl From<Step> for FromController {
    fn from(step: Step) -> Self {
        Self { step: Some(step), ..Self::default() }
    }
}

/// The one method there is.
const PATH: &str = "/pingora_gateway.v1.Configuration/Follow";

/// The name that every controller's certificate is for.
const SERVER_NAME: &str = "controller.pingora-gateway.dev";

/// For whom the token of a proxy is made.
pub(crate) const AUDIENCE: &str = "pingora-gateway.dev/controller";

/// The largest message: an object and a little more. An API server stores none of more than about 1.5 MiB.
const LARGEST: usize = 8 << 20;

/// How often either side asks whether the other is still there.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(test)]
mod tests;
