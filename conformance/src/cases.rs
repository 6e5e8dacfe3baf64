//! Our own end-to-end cases in a cluster: what the upstream suite does not ask, because it takes failures, load, or somebody who looks
//! for what is wrong.
//!
//! In: a cluster in which our controller is installed. Out: one verdict for each case. Each case makes what it needs in one namespace,
//! [`NAMESPACE`], beside a Gateway `front` that serves an echo server; what it made on top it takes away again.

mod calm;
mod failures;
mod kinds;
mod load;
mod scene;
mod selected;
mod tokens;
mod trust;

use std::time::Instant;

use anyhow::Result;

pub use scene::{NAMESPACE, Scene};

/// A case: a sentence that shall hold, and how that is seen. It tells what was measured.
pub struct Case {
    /// Its name, for `--case`.
    pub name: &'static str,
    /// The sentence.
    pub sentence: &'static str,
    judge: fn(&Scene) -> Result<String>,
}

/// All of them, in the order in which they are judged.
pub const CASES: &[Case] = &[
    Case {
        name: "foreign",
        sentence: "entries and Gateways of another controller are left alone",
        judge: calm::entries_and_gateways_of_another_controller_are_left_alone,
    },
    Case { name: "kinds", sentence: "an object of every kind has its status", judge: kinds::every_kind_has_its_status },
    Case {
        name: "selected",
        sentence: "an XBackend that selects pods leads to them",
        judge: selected::an_xbackend_that_selects_pods_leads_to_them,
    },
    Case {
        name: "longest-names",
        sentence: "a Gateway whose name has 253 characters is served",
        judge: calm::a_gateway_whose_name_has_253_characters_is_served,
    },
    Case {
        name: "relabelled",
        sentence: "a Namespace that loses its label loses its routes, and gets them back with it",
        judge: calm::a_namespace_that_loses_its_label_loses_its_routes,
    },
    Case {
        name: "shaped",
        sentence: "GatewayParameters of class and Gateway shape what is made for it, and follow changes",
        judge: calm::parameters_of_class_and_gateway_shape_what_is_made_for_it,
    },
    Case {
        name: "revoked",
        sentence: "a revoked ReferenceGrant ends what it allowed",
        judge: trust::a_revoked_grant_ends_what_it_allowed,
    },
    Case {
        name: "rotated",
        sentence: "a rotated Secret is served, and no handshake fails meanwhile",
        judge: trust::a_rotated_secret_is_served_and_no_handshake_fails,
    },
    Case {
        name: "strangers",
        sentence: "a token that is wrong, expired or another's gets nothing from the controller",
        judge: tokens::a_token_that_is_wrong_or_anothers_gets_nothing,
    },
    Case {
        name: "personas",
        sentence: "each persona may do its own, and not the others'",
        judge: trust::each_persona_may_do_its_own_and_not_the_others,
    },
    Case {
        name: "told",
        sentence: "get, describe and events show what is wrong",
        judge: calm::get_describe_and_events_show_what_is_wrong,
    },
    Case {
        name: "scaled",
        sentence: "three replicas serve, and nobody puts their number back",
        judge: calm::three_replicas_serve_and_nobody_puts_their_number_back,
    },
    Case {
        name: "proxies-rolled",
        sentence: "a rolling update of proxies loses no request",
        judge: failures::a_rolling_update_of_proxies_loses_no_request,
    },
    Case {
        name: "backends-rolled",
        sentence: "a rolling update of backends loses no request",
        judge: failures::a_rolling_update_of_backends_loses_no_request,
    },
    Case {
        name: "proxy-killed",
        sentence: "a killed proxy costs its neighbour no request, and comes back",
        judge: failures::a_killed_proxy_costs_its_neighbour_no_request,
    },
    Case {
        name: "controller-killed",
        sentence: "a killed controller costs no request and changes no status, and comes back",
        judge: failures::a_killed_controller_costs_no_request_and_changes_no_status,
    },
    Case {
        name: "leader-lost",
        sentence: "another controller takes over from a lost leader: no request, no status and no object is lost",
        judge: failures::another_controller_takes_over_from_a_lost_leader,
    },
    Case {
        name: "api-server-killed",
        sentence: "a killed API server costs no request and changes no status, and what changes then is served",
        judge: failures::a_killed_api_server_costs_no_request_and_changes_no_status,
    },
    Case {
        name: "rested",
        sentence: "controller and proxies that have nothing to do do nothing",
        judge: calm::controller_and_proxies_that_have_nothing_to_do_do_nothing,
    },
    Case {
        name: "deleted",
        sentence: "a deleted Gateway leaves nothing behind",
        judge: calm::a_deleted_gateway_leaves_nothing_behind,
    },
];

/// Judges those of these names, or all where none is named; prints a line for each. False when one of them failed.
///
/// # Errors
///
/// When the scene could not be set.
pub fn judge(scene: &Scene, names: &[String]) -> Result<bool> {
    scene.set()?;
    let mut is_well = true;
    for case in CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)) {
        let started = Instant::now();
        match (case.judge)(scene) {
            Ok(told) => println!("ok     {} ({:.1?}; {told})", case.sentence, started.elapsed()),
            Err(err) => {
                is_well = false;
                println!("FAILED {} ({}, {:.1?}): {err:#}", case.sentence, case.name, started.elapsed());
            }
        }
    }
    Ok(is_well)
}
