//! What texts of the API must look like: names, host names, paths, headers. The patterns of the schema, written as functions.
//!
//! In: a text. Out: what was expected, if it is not that. Lengths are part of each pattern; enumerations and regular expressions
//! of users are no concern here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A pattern: whether a text has it, and its description.
#[derive(Clone, Copy)]
pub(super) struct Syntax {
    /// Whether the text is of this kind.
    pub(super) holds: fn(&str) -> bool,
    /// What to call it.
    pub(super) called: &'static str,
}

/// RFC 1123 label.
pub(super) const LABEL: Syntax =
    Syntax { holds: is_label, called: "a DNS label of at most 63 lower-case letters, digits and '-'" };

/// RFC 1123 subdomain, as names of most objects and sections are.
pub(super) const SUBDOMAIN: Syntax = Syntax {
    holds: is_subdomain,
    called: "a DNS name of at most 253 characters: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
};

/// The name of an object of any kind.
pub(super) const NAME: Syntax =
    Syntax { holds: |text| (1..=253).contains(&length(text)), called: "a name of 1 to 253 characters" };

/// An API group; empty for the core group.
pub(super) const GROUP: Syntax = Syntax {
    holds: |text| text.is_empty() || is_subdomain(text),
    called: "an API group: empty, or a DNS name of at most 253 characters",
};

/// A kind.
pub(super) const KIND: Syntax =
    Syntax { holds: is_kind, called: "a kind: a letter, then letters, digits and '-', at most 63 characters" };

/// A host name, perhaps with a wildcard as its first label.
pub(super) const HOSTNAME: Syntax = Syntax {
    holds: |text| length(text) <= 253 && is_subdomain(text.strip_prefix("*.").unwrap_or(text)),
    called: "a lower-case host name such as example.com or *.example.com, of at most 253 characters",
};

/// A host name without wildcard.
pub(super) const PRECISE_HOSTNAME: Syntax = Syntax {
    holds: is_subdomain,
    called: "a lower-case host name without wildcard, such as example.com, of at most 253 characters",
};

/// A host name of TLS: not an address either.
pub(super) const SERVER_NAME: Syntax = Syntax {
    holds: |text| (HOSTNAME.holds)(text) && text.parse::<IpAddr>().is_err(),
    called: "a lower-case host name such as example.com or *.example.com, and no address",
};

/// A host name without wildcard, and no address.
pub(super) const PRECISE_SERVER_NAME: Syntax = Syntax {
    holds: |text| is_subdomain(text) && text.parse::<IpAddr>().is_err(),
    called: "a lower-case host name without wildcard, such as example.com, and no address",
};

/// A path of a match by `Exact` or `PathPrefix`.
pub(super) const PATH: Syntax = Syntax {
    holds: is_path,
    called: "an absolute path of at most 1024 characters without '//', '/./', '/../', '%2F' and '#', not ending in '/.' or '/..', \
             of the characters and percent triplets RFC 3986 admits",
};

/// Characters of a path, wherever it begins.
pub(super) const PATH_CHARACTERS: Syntax = Syntax {
    holds: |text| (1..=1024).contains(&length(text)) && is_path_text(text),
    called: "1 to 1024 of the characters and percent triplets RFC 3986 admits in a path",
};

/// The name of a header, and of a query parameter.
pub(super) const HEADER_NAME: Syntax = Syntax {
    holds: |text| (1..=256).contains(&text.len()) && text.bytes().all(is_token),
    called: "a header name of 1 to 256 token characters",
};

/// The name of a cookie.
pub(super) const COOKIE_NAME: Syntax = Syntax { holds: HEADER_NAME.holds, called: "a cookie name of 1 to 256 token characters" };

/// The value of a header.
pub(super) const HEADER_VALUE: Syntax =
    Syntax { holds: is_header_value, called: "1 to 4096 printable ASCII characters, with single spaces or tabs between them" };

/// The value of a query parameter.
pub(super) const QUERY_VALUE: Syntax =
    Syntax { holds: |text| (1..=1024).contains(&length(text)), called: "1 to 1024 characters" };

/// The name of a controller, and other `domain/path` names.
pub(super) const DOMAIN_PATH: Syntax =
    Syntax { holds: is_domain_path, called: "a domain and a path of at most 253 characters, such as example.com/controller" };

/// The key of a label or annotation.
pub(super) const QUALIFIED_NAME: Syntax = Syntax {
    holds: is_qualified_name,
    called: "a key: an optional DNS name and '/', then at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
};

/// The value of a label.
pub(super) const LABEL_VALUE: Syntax = Syntax {
    holds: |text| text.is_empty() || is_name_segment(text),
    called: "a label value: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
};

/// An IPv4 or IPv6 address.
pub(super) const IP_ADDRESS: Syntax = Syntax { holds: |text| text.parse::<IpAddr>().is_ok(), called: "an IPv4 or IPv6 address" };

/// An IPv4 address.
pub(super) const IPV4_ADDRESS: Syntax = Syntax { holds: |text| text.parse::<Ipv4Addr>().is_ok(), called: "an IPv4 address" };

/// An IPv6 address.
pub(super) const IPV6_ADDRESS: Syntax = Syntax { holds: |text| text.parse::<Ipv6Addr>().is_ok(), called: "an IPv6 address" };

/// A range of addresses.
pub(super) const ADDRESS_RANGE: Syntax =
    Syntax { holds: is_range, called: "a range of addresses such as 10.0.0.0/8 or 2001:db8::/32, or one address" };

/// An amount of a resource.
pub(super) const QUANTITY: Syntax = Syntax { holds: is_quantity, called: "a quantity such as 250m or 64Mi" };

/// The protocol of a listener.
pub(super) const PROTOCOL: Syntax = Syntax {
    holds: |text| length(text) <= 255 && (is_kind_like(text) || is_domain_path(text)),
    called: "a protocol such as HTTPS, or a domain and a name such as example.com/protocol",
};

/// From where an address must be reachable.
pub(super) const ROUTABILITY: Syntax = Syntax {
    holds: is_routability,
    called: "nothing, Cluster, or a domain and a path of at most 253 characters, the domain not under k8s.io",
};

/// An origin of cross-origin requests.
pub(super) const ORIGIN: Syntax = Syntax {
    holds: is_origin,
    called: "'*' or an origin of at most 253 characters such as https://example.com:8443 or https://*.example.com",
};

/// A URI with a scheme.
pub(super) const ABSOLUTE_URI: Syntax =
    Syntax { holds: is_absolute_uri, called: "an absolute URI of at most 253 characters such as spiffe://example.com/service" };

/// The key of an attribute of a span.
pub(super) const ATTRIBUTE_NAME: Syntax = Syntax {
    holds: |text| (1..=256).contains(&text.len()) && text.bytes().all(|byte| is_alphanumeric_or(byte, b"_.:/-")),
    called: "1 to 256 letters, digits, '_', '.', ':', '/' and '-'",
};

/// What the spans of a service are filed under.
pub(super) const SERVICE_NAME: Syntax = Syntax {
    holds: |text| (1..=253).contains(&text.len()) && is_span_word(text),
    called: "1 to 253 letters, digits, '_', '.', ':', '/' and '-'",
};

/// What a span is called.
pub(super) const SPAN_NAME: Syntax = Syntax {
    holds: |text| text.len() <= 256 && text.split(' ').all(is_span_word),
    called: "words of letters, digits, '_', '.', ':', '/' and '-', with single blanks between them, 1 to 256 characters in all",
};

/// The key of an attribute OpenTelemetry names.
pub(super) const ATTRIBUTE_KEY: Syntax = Syntax {
    holds: |text| {
        (1..=256).contains(&text.len()) && text.bytes().all(|byte| is_alphanumeric_or(byte, b"_.-") && !byte.is_ascii_uppercase())
    },
    called: "1 to 256 lower-case letters, digits, '_', '.' and '-'",
};

/// A service of gRPC.
pub(super) const GRPC_SERVICE: Syntax = Syntax {
    holds: |text| length(text) <= 1024 && text.strip_prefix('.').unwrap_or(text).split('.').all(is_identifier),
    called: "a gRPC service such as package.Service, of at most 1024 characters",
};

/// A method of gRPC.
pub(super) const GRPC_METHOD: Syntax = Syntax {
    holds: |text| length(text) <= 1024 && is_identifier(text),
    called: "a gRPC method such as GetUser, of at most 1024 characters",
};

fn length(text: &str) -> usize {
    text.chars().count()
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_part(text)
}

pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

/// Lower-case letters, digits and inner hyphens; the schema bounds the whole name, not its parts.
fn is_dns_part(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    edge(text.bytes().next())
        && edge(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_kind(text: &str) -> bool {
    text.len() <= 63 && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && is_kind_like(text)
}

/// Letters, digits and inner hyphens.
fn is_kind_like(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_path(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with('/')
        && length(text) <= 1024
        && !["//", "/./", "/../", "%2f"].iter().any(|part| lower.contains(part))
        && !text.ends_with("/.")
        && !text.ends_with("/..")
        && is_path_text(text)
}

fn is_path_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().flatten().filter(|byte| byte.is_ascii_hexdigit()).count() == 2,
            byte => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    !text.is_empty()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_header_value(text: &str) -> bool {
    let is_blank = |byte: u8| byte == b' ' || byte == b'\t';
    let bytes = text.as_bytes();
    (1..=4096).contains(&bytes.len())
        && bytes.iter().all(|&byte| byte.is_ascii_graphic() || is_blank(byte))
        && !bytes.first().is_some_and(|&byte| is_blank(byte))
        && !bytes.last().is_some_and(|&byte| is_blank(byte))
        && !bytes.windows(2).any(|pair| pair.iter().all(|&byte| is_blank(byte)))
}

fn is_domain_path(text: &str) -> bool {
    let Some((domain, path)) = text.split_once('/') else { return false };
    text.len() <= 253
        && is_subdomain(domain)
        && !path.is_empty()
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte))
}

fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && is_name_segment(name)
}

fn is_name_segment(text: &str) -> bool {
    text.len() <= 63
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_routability(text: &str) -> bool {
    let domain = text.split_once('/').map_or("", |(domain, _)| domain);
    let is_reserved = domain == "k8s.io" || domain.ends_with(".k8s.io");
    matches!(text, "" | "Cluster") || is_domain_path(text) && !is_reserved
}

fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return text == "*" };
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    length(text) <= 253
        && (host == "*" || host.strip_prefix("*.").unwrap_or(host).split('.').all(is_label))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && !port.starts_with('+')))
}

/// A scheme and an authority, and no blanks: the pattern of the schema admits nearly anything after them.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    let is_scheme = !scheme.is_empty() && !scheme.contains([':', '/', '?', '#']);
    length(text) <= 253 && is_scheme && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_alphanumeric_or(byte: u8, others: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || others.contains(&byte)
}

fn is_span_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| is_alphanumeric_or(byte, b"_.:/-"))
}

fn is_quantity(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let is_exponent = || {
        let exponent = suffix.strip_prefix(['e', 'E']).map(|rest| rest.trim_start_matches(['+', '-']));
        exponent.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let is_suffix =
        matches!(suffix, "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei");
    digits + fraction.len() > 0 && text.len() <= 32 && (is_suffix || is_exponent())
}

fn is_range(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return (IP_ADDRESS.holds)(text) };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.bytes().all(|byte| byte.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
}

fn is_identifier(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_address_and_a_prefix() {
        for (text, holds) in [
            ("10.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("::/128", true),
            ("10.0.0.1", true),
            ("", false),
            ("/", false),
            ("10.0.0.0/", false),
            ("10.0.0.0/+8", false),
            ("10.0.0.0/8/8", false),
            ("10.0.0.0/33", false),
            ("::/129", false),
            ("10.0.0/8", false),
        ] {
            assert_eq!((ADDRESS_RANGE.holds)(text), holds, "{text}");
        }
    }
}
