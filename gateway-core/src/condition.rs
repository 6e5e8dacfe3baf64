//! Every condition and reason this implementation can emit, in the specification's words.
//!
//! In: nothing. Out: the vocabulary the judges speak, and one condition as data. Messages are phrased where the facts are known.
//!
//! Invariants: a reason that is not listed here cannot be written into a status.

use serde::{Serialize, Serializer};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
        }

        impl $name {
            /// The word as the specification spells it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary! {
    /// The types of conditions.
    ConditionType {
        /// The object can be used.
        Accepted = "Accepted",
        /// The data plane serves it.
        Programmed = "Programmed",
        /// All references lead somewhere permitted.
        ResolvedRefs = "ResolvedRefs",
        /// Another listener claims the same; present only while true.
        Conflicted = "Conflicted",
        /// HTTPS listeners of one port share hosts; present only while true.
        OverlappingTlsConfig = "OverlappingTLSConfig",
        /// Some rules were dropped; present only while true.
        PartiallyInvalid = "PartiallyInvalid",
        /// The installed Gateway API bundle is one we know.
        SupportedVersion = "SupportedVersion",
        /// Some client certificates are not checked; present only while true.
        InsecureFrontendValidationMode = "InsecureFrontendValidationMode",
        /// Every requested address is assigned (GEP-5093).
        AddressesAssigned = "AddressesAssigned",
        /// The Gateway serves routes that name no parent; present only while true (GEP-3793).
        DefaultGateway = "DefaultGateway",
    }
}

vocabulary! {
    /// The reasons of conditions.
    Reason {
        /// Of Accepted, when true.
        Accepted = "Accepted",
        /// Of Programmed, when true.
        Programmed = "Programmed",
        /// Of ResolvedRefs, when true.
        ResolvedRefs = "ResolvedRefs",
        /// Of SupportedVersion, when true.
        SupportedVersion = "SupportedVersion",
        /// The bundle is not one we know.
        UnsupportedVersion = "UnsupportedVersion",
        /// A parametersRef leads nowhere or to something malformed.
        InvalidParameters = "InvalidParameters",
        /// An address of a type we do not serve.
        UnsupportedAddress = "UnsupportedAddress",
        /// Some or all listeners are not valid.
        ListenersNotValid = "ListenersNotValid",
        /// Nothing can be served.
        Invalid = "Invalid",
        /// Not yet.
        Pending = "Pending",
        /// No address is allotted.
        AddressNotAssigned = "AddressNotAssigned",
        /// A requested address is not ours to give.
        AddressNotUsable = "AddressNotUsable",
        /// A reference across namespaces without a grant.
        RefNotPermitted = "RefNotPermitted",
        /// The Gateway's client certificate cannot be used.
        InvalidClientCertificateRef = "InvalidClientCertificateRef",
        /// A listener's certificate cannot be used.
        InvalidCertificateRef = "InvalidCertificateRef",
        /// A route kind the listener cannot take.
        InvalidRouteKinds = "InvalidRouteKinds",
        /// The socket could not be bound.
        PortUnavailable = "PortUnavailable",
        /// A protocol the data plane does not serve.
        UnsupportedProtocol = "UnsupportedProtocol",
        /// A value or field the data plane does not perform.
        UnsupportedValue = "UnsupportedValue",
        /// A listener filter that cannot be performed.
        InvalidListenerFilter = "InvalidListenerFilter",
        /// Two listeners for one name.
        HostnameConflict = "HostnameConflict",
        /// Two protocols on one port.
        ProtocolConflict = "ProtocolConflict",
        /// Hostnames of HTTPS listeners overlap.
        OverlappingHostnames = "OverlappingHostnames",
        /// The listeners do not admit the route.
        NotAllowedByListeners = "NotAllowedByListeners",
        /// No listener has a host in common with the route.
        NoMatchingListenerHostname = "NoMatchingListenerHostname",
        /// No listener has the name or port.
        NoMatchingParent = "NoMatchingParent",
        /// Filters that exclude each other.
        IncompatibleFilters = "IncompatibleFilters",
        /// A backend of a kind we do not know.
        InvalidKind = "InvalidKind",
        /// A backend that does not exist.
        BackendNotFound = "BackendNotFound",
        /// Both kinds of conflict at once.
        ListenerConflict = "ListenerConflict",
        /// More listeners than one Gateway may have.
        TooManyListeners = "TooManyListeners",
        /// The Gateway admits no listeners from there.
        NotAllowed = "NotAllowed",
        /// The Gateway a set of listeners belongs to is not accepted.
        ParentNotAccepted = "ParentNotAccepted",
        /// The Gateway a set of listeners belongs to is not programmed.
        ParentNotProgrammed = "ParentNotProgrammed",
        /// A reference of some listener is broken.
        ListenersNotResolved = "ListenersNotResolved",
        /// Of InsecureFrontendValidationMode, when true.
        ConfigurationChanged = "ConfigurationChanged",
        /// Of AddressesAssigned, when true.
        AddressesAssigned = "AddressesAssigned",
        /// Some requested addresses are assigned.
        PartiallyAssigned = "PartiallyAssigned",
        /// No requested address is assigned.
        NotAssigned = "NotAssigned",
        /// Of DefaultGateway, when true.
        DefaultGateway = "DefaultGateway",
        /// There is no room for what is asked.
        NoResources = "NoResources",
        /// No reference to a certificate authority is usable.
        NoValidCaCertificate = "NoValidCACertificate",
        /// A certificate authority that is missing or cannot be read.
        InvalidCaCertificateRef = "InvalidCACertificateRef",
        /// A certificate authority of a kind we do not know.
        InvalidCaCertificateKind = "InvalidCACertificateKind",
        /// Listener filters whose order cannot be kept.
        InvalidListenerFilterOrder = "InvalidListenerFilterOrder",
        /// A listener filter that refers to nothing usable.
        InvalidListenerFilterRef = "InvalidListenerFilterRef",
        /// Certificates of listeners share names.
        OverlappingCertificates = "OverlappingCertificates",
        /// Another, older policy targets the same.
        Conflicted = "Conflicted",
        /// The target of a policy does not exist.
        TargetNotFound = "TargetNotFound",
        /// The class is refused for a reason of ours.
        Unsupported = "Unsupported",
    }
}

/// One condition of a desired status. The time of its last transition is added when it joins what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: Truth,
    /// The machine's reason.
    pub reason: Reason,
    /// The person's reason: what is so, and what to change.
    pub message: String,
    /// The generation of the object that was judged.
    pub observed_generation: i64,
}
