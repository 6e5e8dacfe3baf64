//! The second half of verb two: the rule that wins an admitted request, and what is to be done.
//!
//! In: an admitted request, its head, and turns for weighted choices. Out: a `Decision`, which is data: the data plane performs it
//! and looks at no configuration of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::admit::{Admitted, Refusal};
use crate::snapshot::filters::Step;
use crate::snapshot::{Backend, Listener, Rule, Turn};

/// What is to be done with a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Perform the rule's steps, then answer without a backend.
    Answer(Answer),
    /// Perform the rule's steps, then the target's, then forward.
    Forward(Forward),
    /// Answer with an error.
    Refuse(Refusal),
}

/// A response of our own: a redirect or a direct response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The rule; its `steps` come before the answer.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The status code.
    pub status: StatusCode,
    /// The headers, `Content-Length` excepted.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A request to forward.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The rule that won.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The backend that was chosen. It has at least one endpoint.
    pub backend: Arc<Backend>,
    /// Index of the chosen `backendRef` in the rule.
    pub(crate) target: usize,
    /// Bytes of the path that the matched prefix covers, without its trailing slash; what `ReplacePrefixMatch` replaces.
    pub matched_prefix: usize,
}

impl Forward {
    /// What to do first, in order: the rule's steps, then the chosen target's.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.rule.steps.iter().chain(self.rule.target_steps(self.target))
    }
}

/// Decides an admitted request. `turns` takes the next turn of a rule with several targets (`Turn::take`), or only looks at it
/// (`Turn::peek`).
pub fn decide(admitted: &Admitted, head: &Parts, turns: impl FnMut(&Turn) -> u64) -> Decision {
    let _ = (admitted, head, turns);
    unimplemented!("being written")
}
