//! Label selectors, as Kubernetes evaluates them: every label of `matchLabels` and every expression must hold, and an empty
//! selector selects all.
//!
//! In: a selector as read and the labels of one object. Out: whether it is selected. An operator nobody knows selects nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::open::open_enum;

/// Which objects, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default)]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

/// One entry of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelRequirement {
    /// The key of the label.
    pub key: String,
    /// How the label's value relates to `values`.
    pub operator: LabelOperator,
    /// The values of `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

impl LabelRequirement {
    /// Whether an object with these labels meets the requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::Other(_) => false,
        }
    }
}

open_enum! {
    /// How a label relates to the values of a requirement.
    LabelOperator {
        /// The label has one of the values.
        In = "In",
        /// The label is absent or has none of the values.
        NotIn = "NotIn",
        /// The label is there.
        Exists = "Exists",
        /// The label is not there.
        DoesNotExist = "DoesNotExist",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::value;

    #[test]
    fn every_requirement_must_hold() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned()), ("stage".to_owned(), "prod".to_owned())]);
        for (selector, selected) in [
            ("{}", true),
            ("{matchLabels: {team: a}}", true),
            ("{matchLabels: {team: a, stage: dev}}", false),
            ("{matchLabels: {other: a}}", false),
            ("{matchExpressions: [{key: team, operator: In, values: [a, b]}]}", true),
            ("{matchExpressions: [{key: team, operator: In, values: [b]}]}", false),
            ("{matchExpressions: [{key: other, operator: In, values: [b]}]}", false),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [b]}]}", true),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [a]}]}", false),
            ("{matchExpressions: [{key: other, operator: NotIn, values: [a]}]}", true),
            ("{matchExpressions: [{key: team, operator: Exists}]}", true),
            ("{matchExpressions: [{key: other, operator: Exists}]}", false),
            ("{matchExpressions: [{key: team, operator: DoesNotExist}]}", false),
            ("{matchExpressions: [{key: other, operator: DoesNotExist}]}", true),
            ("{matchExpressions: [{key: team, operator: Like}]}", false),
            ("{matchLabels: {team: a}, matchExpressions: [{key: other, operator: Exists}]}", false),
        ] {
            let read: LabelSelector = serde_json::from_value(value(selector)).unwrap();
            assert_eq!(read.matches(&labels), selected, "{selector}");
        }
    }
}
