//! Mirrors, translated (`HTTPRequestMirrorFilter`): of HTTPRoutes and GRPCRoutes alike.
//!
//! In: what the filter states, and where its reference leads. Out: a step; none for a mirror that would copy nothing. One
//! that leads nowhere copies nothing either, and knows why: the requests themselves are no worse for it.

use std::sync::Arc;

use crate::resource::{Fraction, RequestMirror};
use crate::snapshot::BackendId;
use crate::snapshot::filters::{Mirror, Share, Step};

use super::super::fault::Fault;
use super::targets::invalid;
use super::turns::Turns;

/// Translates a `RequestMirror`.
pub(super) fn mirror(stated: &RequestMirror, leads: &Result<BackendId, Fault>, turns: &mut Turns<'_>) -> Option<Step> {
    let RequestMirror { backend_ref: _, percent, fraction } = stated;
    let backend = leads.as_ref().map_or_else(|fault| Err(invalid(fault)), |backend| Ok(*backend));
    let Fraction { numerator, denominator } = match (fraction, percent) {
        (Some(fraction), _) => *fraction,
        (None, Some(percent)) => Fraction { numerator: u32::from(*percent), denominator: 100 },
        (None, None) => Fraction { numerator: 1, denominator: 1 },
    };
    if numerator == 0 {
        return None;
    }
    let share = match backend {
        Ok(backend) if numerator < denominator => Share::new(numerator, denominator, turns.of_mirror(backend)),
        Ok(_) | Err(_) => None,
    };
    Some(Step::Mirror(Arc::new(Mirror { backend, share })))
}
