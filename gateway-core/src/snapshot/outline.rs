//! A snapshot told in lines of text, by names and in a fixed order.
//!
//! In: a snapshot. Out: all that it holds, so that two of them can be compared whatever their history: in tests, and by tools.

use std::fmt::Write;

use super::filters::{Auth, ListenerFilter, Share, Step};
use super::listeners::Listeners;
use super::matching::Match;
use super::rule::{Action, Rule, Target, TargetAction};
use super::table::Table;
use super::{Backend, BackendId, Fingerprint, Rate, Sampling, Security, Snapshot, Spans, Tracing};

impl Snapshot {
    /// All that the snapshot holds: sockets, listeners, hosts and candidates in order, rules, backends by name. Snapshots that
    /// serve alike have equal outlines.
    pub fn outline(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (socket, listeners) in self.sockets() {
            let kind = if listeners.is_tls() { "TLS" } else { "clear" };
            lines.push(format!("socket {socket}, {kind}, {:?}", listeners.settings));
            self.outline_listeners(listeners, &mut lines);
        }
        lines.extend(self.backends().map(|backend| outline_backend(backend)));
        lines
    }

    fn outline_listeners(&self, listeners: &Listeners, lines: &mut Vec<String>) {
        let mut sites: Vec<_> = listeners.sites().collect();
        sites.sort_unstable_by(|a, b| a.listener.id.cmp(&b.listener.id));
        for site in sites {
            let listener = &*site.listener;
            let hostname = listener.hostname.as_deref().unwrap_or("*");
            let certificates = listener.certificates.as_ref().map(|set| set.as_ref().map(|set| set.fingerprint));
            let validation = listener.validation.as_ref().map(|validation| validation.fingerprint);
            let filters = listener.filters.as_ref().map(|filters| self.outline_filters(filters));
            let own = listener.client_certificate.as_ref().map(|certificate| certificate.fingerprint);
            let tracing = listener.tracing.as_ref().map(|tracing| self.outline_tracing(tracing));
            lines.push(format!(
                "  {}, {:?} {hostname}:{}, certificates {certificates:?}, clients {validation:?}, filters {filters:?}, own {own:?}, {:?}, {tracing:?}, {:?}",
                listener.id, listener.protocol, listener.port, listener.tls, listener.settings
            ));
            self.outline_table(&site.table, lines);
        }
    }

    fn outline_table(&self, table: &Table, lines: &mut Vec<String>) {
        for (host, entry) in table.sorted() {
            lines.push(format!("    host {host}"));
            for candidate in entry.sorted() {
                lines.push(format!("      {candidate}: {:?}, match {}", candidate.age, candidate.index));
                lines.push(format!("        {}", self.outline_rule(candidate)));
            }
        }
    }

    fn outline_rule(&self, candidate: &Match) -> String {
        let rule = &*candidate.rule;
        let Rule { id, steps, action, timeouts, retry, repick, .. } = rule;
        let steps = self.outline_steps(steps);
        let mut line = format!("{id}, {steps}, {timeouts:?}, {retry:?}, repick {repick}: ");
        let written = match action {
            Action::Reply(reply) => write!(line, "{reply:?}"),
            Action::Fail(why) => write!(line, "fail: {why}"),
            Action::Forward(split) => {
                let targets = split.targets().iter().zip(split.weights());
                let targets = targets.map(|(Target { action, steps, persistence }, weight)| {
                    let action = match action {
                        TargetAction::Reply(reply) => format!("{reply:?}"),
                        TargetAction::Forward(id) => self.name_of(*id),
                        TargetAction::Fail(why) => format!("fail: {why}"),
                    };
                    format!("{weight} x {action} {} {persistence:?}", self.outline_steps(steps))
                });
                write!(line, "forward {}", targets.collect::<Vec<_>>().join(", "))
            }
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        line
    }

    /// Which requests become spans, in words; the values of headers are hidden.
    pub(crate) fn outline_tracing(&self, tracing: &Tracing) -> String {
        let Tracing::Enabled(spans) = tracing else { return "no request becomes a span".to_owned() };
        let Spans { collector, protocol, headers, sampling, service_name, span_name, attributes } = spans;
        let Sampling { own, parents } = sampling;
        let share = |rate: &Rate| {
            let (numerator, denominator) = rate.fraction();
            format!("{numerator} of {denominator}")
        };
        let collector = collector.map_or_else(|| "nobody".to_owned(), |id| self.name_of(id));
        let headers = Fingerprint::of(headers.0.iter().flat_map(|(name, value)| [name.as_ref(), value.as_bytes()]));
        let parents = parents
            .as_ref()
            .map_or_else(|| "parents do not count".to_owned(), |rate| format!("{} of sampled parents", share(rate)));
        format!(
            "{} of traces, {parents}, to {collector} by {protocol:?} with headers {headers}, service {service_name:?}, span {span_name:?}, {attributes:?}",
            share(own)
        )
    }

    fn outline_filters(&self, filters: &[ListenerFilter]) -> Vec<String> {
        let told = filters.iter().map(|filter| match filter {
            ListenerFilter::Auth(auth) => self.outline_auth(auth),
            ListenerFilter::Extension(extension) => format!("{extension:?}"),
        });
        told.collect()
    }

    fn outline_auth(&self, auth: &Auth) -> String {
        format!("Auth({}, {:?}, {:?})", self.name_of(auth.backend), auth.protocol, auth.body)
    }

    /// Steps, their backends by name: numbers differ from history to history.
    fn outline_steps(&self, steps: &[Step]) -> String {
        let told = steps.iter().map(|step| match step {
            Step::Mirror(mirror) => {
                let share = mirror.share.as_ref().map(Share::fraction);
                let backend = mirror.backend.as_ref().map_or_else(|why| format!("nobody: {why}"), |id| self.name_of(*id));
                format!("Mirror({backend}, {share:?})")
            }
            Step::Auth(auth) => self.outline_auth(auth),
            Step::EditRequest(_) | Step::EditResponse(_) | Step::Rewrite(_) | Step::Cors(_) | Step::Extension(_) => {
                format!("{step:?}")
            }
        });
        format!("[{}]", told.collect::<Vec<_>>().join(", "))
    }

    fn name_of(&self, id: BackendId) -> String {
        self.backend(id).map_or_else(|| "unknown".to_owned(), |backend| backend.name.to_string())
    }
}

fn outline_backend(backend: &Backend) -> String {
    let Backend { id: _, name, protocol, security, endpoints, persistence, retry_budget } = backend;
    let fingerprint = backend.fingerprint();
    let security = match security {
        Security::Clear => "clear".to_owned(),
        Security::Tls(tls) => format!("TLS {} {:?} {}", tls.identity.server_name, tls.alpn, tls.fingerprint),
        Security::Broken(why) => format!("broken: {why}"),
    };
    let usage = name.usage;
    format!(
        "backend {name}, {usage:?}, {protocol:?}, {security}, {fingerprint}, {persistence:?}, {retry_budget:?}: {endpoints:?}"
    )
}
