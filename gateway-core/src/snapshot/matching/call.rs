//! What a GRPCRoute asks of the service and the method of a call.
//!
//! In: `GRPCMethodMatch` as the compiler translated it, without a leading dot before the service. Out: a pattern to compare a call
//! with, case-sensitive. The path of a call is `/service/method`; the method is what follows the last slash.
//!
//! Invariants: precedence among patterns is the order of `CallRank`.

use std::fmt;
use std::sync::Arc;

use super::expression::Expression;

/// What the service and the method of a call must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallPattern {
    /// This `service/method`.
    Call(Arc<str>),
    /// A method of this service.
    Service(Arc<str>),
    /// This method of some service.
    Method(Arc<str>),
    /// Something the whole of which the expressions match.
    Expressions {
        /// Of the service; `None` for any.
        service: Option<Arc<Expression>>,
        /// Of the method; `None` for any.
        method: Option<Arc<Expression>>,
    },
    /// Anything.
    Any,
}

impl CallPattern {
    /// The pattern for a service and a method, byte for byte; `None` for any.
    pub fn exact(service: Option<&str>, method: Option<&str>) -> Self {
        match (service, method) {
            (Some(service), Some(method)) => Self::Call(format!("{service}/{method}").into()),
            (Some(service), None) => Self::Service(service.into()),
            (None, Some(method)) => Self::Method(method.into()),
            (None, None) => Self::Any,
        }
    }

    /// How the pattern ranks.
    pub(super) fn rank(&self) -> CallRank {
        let length = |expression: &Option<Arc<Expression>>| expression.as_ref().map_or(0, |found| found.as_str().len());
        match self {
            Self::Call(path) => {
                let (service, method) = Call::split(path).map_or((path.len(), 0), |call| (call.service.len(), call.method.len()));
                CallRank::Exact(service, method)
            }
            Self::Service(service) => CallRank::Exact(service.len(), 0),
            Self::Method(method) => CallRank::Exact(0, method.len()),
            Self::Expressions { service, method } => CallRank::Expressions(length(service), length(method)),
            Self::Any => CallRank::Any,
        }
    }
}

/// How a call pattern ranks: by characters of the service, then of the method (`GRPCRouteRule.Matches`). The place of expressions
/// is ours to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallRank {
    Any,
    Expressions(usize, usize),
    Exact(usize, usize),
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(path) => write!(f, "call {path}"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Method(method) => write!(f, "method {method} of any service"),
            Self::Expressions { service: Some(service), method: None } => write!(f, "service expression {service}"),
            Self::Expressions { service: None, method: Some(method) } => write!(f, "method expression {method}"),
            Self::Expressions { service: Some(service), method: Some(method) } => {
                write!(f, "service expression {service}, method expression {method}")
            }
            Self::Expressions { service: None, method: None } | Self::Any => f.write_str("any call"),
        }
    }
}

/// The service and the method of a call, as its path names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// `service/method`.
    pub(crate) path: &'a str,
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
}

impl<'a> Call<'a> {
    /// The call with this path; `None` where the path names none.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        Self::split(path.strip_prefix('/')?)
    }

    fn split(path: &'a str) -> Option<Self> {
        let (service, method) = path.rsplit_once('/')?;
        Some(Self { path, service, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_service_and_a_method() {
        let named = |path| Call::of(path).map(|call| (call.service, call.method));
        assert_eq!(named("/a.b.C/Get"), Some(("a.b.C", "Get")));
        assert_eq!(named("/a/b/Get"), Some(("a/b", "Get")));
        assert_eq!(named("/a.b.C/"), Some(("a.b.C", "")));
        assert_eq!((named("/Get"), named("/"), named("a/b")), (None, None, None));
    }

    #[test]
    fn a_longer_service_goes_first_then_a_longer_method_and_expressions_before_any() {
        let expression = |pattern: &str| Some(Arc::new(Expression::new(pattern).unwrap()));
        let ranked = [
            CallPattern::exact(Some("a.Longer"), None),
            CallPattern::exact(Some("a.B"), Some("GetMore")),
            CallPattern::exact(Some("a.B"), Some("Get")),
            CallPattern::exact(Some("a.B"), None),
            CallPattern::exact(None, Some("GetAllThatThereIs")),
            CallPattern::exact(None, Some("Get")),
            CallPattern::Expressions { service: expression("a[.]B"), method: expression(".*") },
            CallPattern::Expressions { service: expression("a[.]B"), method: None },
            CallPattern::Expressions { service: None, method: expression("Get.*") },
            CallPattern::exact(None, None),
        ];
        assert!(ranked.is_sorted_by(|better, worse| better.rank() > worse.rank()), "{ranked:?}");
    }
}
