//! What the flags about reading mean for core: how documents are read, and what the compiler is told.

use std::hash::{BuildHasher, Hasher, RandomState};

use gateway_core::compile::{CONTROLLER_NAME, Classes, Extensions, Options, Proof};
use gateway_core::resource::{self, Reader};
use gateway_pingora::SUPPORT;

use crate::args::{FieldValidation, Reading};

/// How documents are read.
pub(crate) fn reader(flags: &Reading, extensions: &Extensions) -> Reader {
    let validation = match flags.field_validation {
        FieldValidation::Strict => resource::FieldValidation::Strict,
        FieldValidation::Warn => resource::FieldValidation::Warn,
        FieldValidation::Ignore => resource::FieldValidation::Ignore,
    };
    Reader { validation, lenient_forms: true, extensions: extensions.kinds().cloned().collect() }
}

/// What the compiler is told. The seed is drawn anew each time.
pub(crate) fn options(flags: &Reading, extensions: &Extensions) -> Options {
    let (classes, controller_name) = match &flags.controller_name {
        Some(name) => (Classes::Named, name.as_str()),
        None => (Classes::All, CONTROLLER_NAME),
    };
    Options {
        classes,
        controller_name: controller_name.into(),
        support: SUPPORT,
        extensions: extensions.clone(),
        traffic: true,
        proof: Proof::Sockets,
        // Nobody outside can guess what a fresh state hashes nothing to.
        seed: RandomState::new().build_hasher().finish(),
    }
}
