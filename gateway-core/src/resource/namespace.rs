//! Namespace: labels, which selectors of listeners look at.

use super::Meta;

/// A Namespace as read. Its labels always hold its own name under `kubernetes.io/metadata.name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Who it is.
    pub meta: Meta,
}

impl Namespace {
    /// The Namespace with these metadata and the label every Namespace has.
    pub(super) fn new(mut meta: Meta) -> Self {
        meta.labels.insert(NAME_LABEL.to_owned(), meta.name.name().to_owned());
        Self { meta }
    }
}

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[cfg(test)]
mod tests {
    use crate::resource::Object;
    use crate::resource::fixture::object;

    #[test]
    fn a_namespace_is_labelled_with_its_name() {
        let yaml =
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: a, kubernetes.io/metadata.name: other}}";
        let Object::Namespace(namespace) = object(yaml) else { panic!("no Namespace") };
        assert_eq!(namespace.meta.name.as_str(), "web");
        assert_eq!(namespace.meta.labels["kubernetes.io/metadata.name"], "web");
        assert_eq!(namespace.meta.labels["team"], "a");
    }
}
