//! What the compiler, its reader and the adapter are told, by the flags and by the world: seed and time.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

use gateway_core::compile::{CLUSTER_DOMAIN, CONTROLLER_NAME, Classes, Extensions, ExternalNames, Options, Proof};
use gateway_core::resource::{self, Reader};
use gateway_core::snapshot::{Network, Settings};
use gateway_core::support::{Capability, Support};
use gateway_pingora::{Builder, SUPPORT};

use crate::args::{FieldValidation, HostNames, Limits, Reading, Run};
use crate::descriptors;

/// How documents are read.
pub(crate) fn reader(flags: &Reading, extensions: &Extensions) -> Reader {
    let validation = match flags.field_validation {
        FieldValidation::Strict => resource::FieldValidation::Strict,
        FieldValidation::Warn => resource::FieldValidation::Warn,
        FieldValidation::Ignore => resource::FieldValidation::Ignore,
    };
    Reader { validation, lenient_forms: true, extensions: extensions.kinds().cloned().collect() }
}

/// What Gateways obey where no GatewayParameters say otherwise.
pub(crate) fn settings(flags: &Run) -> Settings {
    Settings {
        trusted_proxies: flags.trusted_proxies.iter().filter_map(|network| Network::parse(network)).collect(),
        drain_timeout: flags.serving.drain_timeout,
        ..Settings::default()
    }
}

/// The limits of the process.
pub(crate) fn limited(builder: Builder, limits: Limits) -> Builder {
    let Limits {
        max_connections,
        max_concurrent_streams,
        connect_timeout,
        stream_idle_timeout,
        auth_timeout,
        max_flows,
        flow_idle_timeout,
    } = limits;
    builder
        .max_connections(descriptors::connections(max_connections))
        .max_concurrent_streams(max_concurrent_streams)
        .connect_timeout(connect_timeout)
        .stream_idle_timeout(stream_idle_timeout)
        .auth_timeout(auth_timeout)
        .max_flows(usize::try_from(max_flows).unwrap_or(usize::MAX))
        .flow_idle_timeout(flow_idle_timeout)
}

/// What the compiler is told. The seed is drawn anew each time.
pub(crate) fn options(flags: &Reading, extensions: &Extensions, settings: Settings) -> Options {
    let (classes, controller_name) = match &flags.controller_name {
        Some(name) => (Classes::Named, name.as_str()),
        None => (Classes::All, CONTROLLER_NAME),
    };
    Options {
        classes,
        controller_name: controller_name.into(),
        support: SUPPORT,
        extensions: extensions.clone(),
        external_names: match flags.external_names {
            HostNames::Refused => ExternalNames::Refused,
            HostNames::Elsewhere => ExternalNames::Elsewhere,
            HostNames::Anywhere => ExternalNames::Anywhere,
        },
        service_names: flags.resolve_services.clone(),
        cluster_domain: CLUSTER_DOMAIN.into(),
        traffic: true,
        proof: Proof::Sockets,
        settings,
        seed: seed(),
    }
}

/// What a cluster's Gateways are served with: what the adapter performs, and what the controller gives them.
pub(crate) const CLUSTER_SUPPORT: Support = SUPPORT.and(Support::of(&[
    Capability::StaticAddresses,
    Capability::AddressEmpty,
    Capability::Routability,
    Capability::RoutabilityCluster,
    Capability::Infrastructure,
]));

/// What a seed is drawn from: nobody outside can guess what a fresh state hashes nothing to.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What time it is.
pub(crate) fn since_1970() -> i64 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_secs()).unwrap_or(i64::MAX)
}
