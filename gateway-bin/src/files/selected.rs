//! The EndpointSlices that XBackends select: `type: EndpointSelector`.
//!
//! In: the objects in force. Out: for each XBackend that selects endpoints and each EndpointSlice of its namespace that has all the
//! labels it asks for, a copy of that slice which says whose it is. In a cluster selectors are for pods, and slices are made of these;
//! among files there are no pods, so that whoever writes the slices labels them.

use std::collections::{BTreeMap, HashMap};

use gateway_core::name::{ObjectId, ObjectName};
use gateway_core::resource::{EndpointSlice, Object, XBACKEND_LABEL};

/// An XBackend by its name, and the labels that it selects.
type Selector<'a> = (&'a str, &'a BTreeMap<String, String>);

/// The copies, by name.
pub(super) fn selected(objects: &HashMap<ObjectId, Object>) -> BTreeMap<ObjectName, EndpointSlice> {
    let mut selectors: HashMap<&str, Vec<Selector<'_>>> = HashMap::new();
    for object in objects.values() {
        if let Object::XBackend(backend) = object
            && let Some(selector) = &backend.spec.endpoint_selector
        {
            let name = &backend.meta.name;
            selectors.entry(name.namespace()).or_default().push((name.name(), &selector.match_labels));
        }
    }
    let mut copies = BTreeMap::new();
    if selectors.is_empty() {
        return copies;
    }
    for object in objects.values() {
        let Object::EndpointSlice(slice) = object else { continue };
        let own = &slice.meta.labels;
        let all = selectors.get(slice.meta.name.namespace()).into_iter().flatten();
        let theirs = all.filter(|(_, labels)| labels.iter().all(|(key, value)| own.get(key) == Some(value)));
        for (backend, _) in theirs.filter(|_| !own.contains_key(XBACKEND_LABEL)) {
            let mut copy = EndpointSlice::clone(slice);
            copy.meta.name = ObjectName::new(slice.meta.name.namespace(), &format!("{}.{backend}", slice.meta.name.name()));
            copy.meta.labels = [(XBACKEND_LABEL.to_owned(), (*backend).to_owned())].into();
            copies.insert(copy.meta.name.clone(), copy);
        }
    }
    copies
}
