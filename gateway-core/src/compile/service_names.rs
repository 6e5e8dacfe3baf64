//! The host names by which Services are reached that have no EndpointSlice: where manifests are served beside something that
//! resolves names of its own, as a cluster's DNS or that of containers.
//!
//! In: a template, such as `{name}.{namespace}`. Out: a host name for each Service.
//!
//! Invariants: what comes out is a host name whatever the Service is called, and differs wherever the template says so.

use std::sync::Arc;

use crate::name::ObjectName;
use crate::resource::is_subdomain;

/// A template of host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNames(Box<str>);

impl ServiceNames {
    /// Reads a template: a host name in which `{name}` stands for a Service's name and `{namespace}` for its namespace.
    ///
    /// ```
    /// use gateway_core::compile::ServiceNames;
    /// use gateway_core::name::ObjectName;
    ///
    /// let names = ServiceNames::parse("{name}.{namespace}.svc").unwrap();
    /// assert_eq!(&*names.of(&ObjectName::new("shop", "cart")), "cart.shop.svc");
    /// ```
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(template: &str) -> Result<Self, String> {
        if !template.contains(NAME) {
            return Err(format!("expected {NAME} in it, as in {NAME}.{NAMESPACE}: all Services would be one host"));
        }
        let read = Self(template.to_ascii_lowercase().trim_end_matches('.').into());
        match is_subdomain(&read.of(&ObjectName::new("a", "a"))) {
            true => Ok(read),
            false => Err(format!("expected a host name with {NAME} and {NAMESPACE} in it, as in {NAME}.{NAMESPACE}")),
        }
    }

    /// The host name of a Service.
    pub fn of(&self, service: &ObjectName) -> Arc<str> {
        self.0.replace(NAME, service.name()).replace(NAMESPACE, service.namespace()).into()
    }
}

const NAME: &str = "{name}";
const NAMESPACE: &str = "{namespace}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_a_host_name_with_the_name_of_the_service_in_it() {
        let name = ObjectName::new("shop", "cart");
        for (template, host) in
            [("{name}", "cart"), ("{name}.{namespace}", "cart.shop"), ("x-{name}.Example.com.", "x-cart.example.com")]
        {
            assert_eq!(&*ServiceNames::parse(template).unwrap().of(&name), host, "{template}");
        }
        for bad in ["", "cart", "{namespace}", "{name}.{port}", "{name} x", "{name}..a", "{name}:80", "-{name}"] {
            assert!(ServiceNames::parse(bad).is_err(), "{bad}");
        }
    }
}
