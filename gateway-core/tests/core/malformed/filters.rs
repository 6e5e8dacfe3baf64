//! Rows of the filters of HTTPRoutes and GRPCRoutes, and of DirectResponse.

use super::{Row, many, row};

fn rule(fields: &str) -> String {
    format!("{{rules: [{{{fields}}}]}}")
}

/// A rule with these filters.
fn filters(list: &str) -> String {
    rule(&format!("filters: {list}"))
}

/// A rule with one filter.
fn filter(filter_type: &str, field: &str, payload: &str) -> String {
    filters(&format!("[{{type: {filter_type}, {field}: {payload}}}]"))
}

fn mirror(fields: &str) -> String {
    filter("RequestMirror", "requestMirror", &format!("{{backendRef: {{name: b, port: 1}}, {fields}}}"))
}

fn cors(fields: &str) -> String {
    filter("CORS", "cors", &format!("{{{fields}}}"))
}

fn edit(fields: &str) -> String {
    filter("RequestHeaderModifier", "requestHeaderModifier", &format!("{{{fields}}}"))
}

fn auth(fields: &str) -> String {
    filter("ExternalAuth", "externalAuth", &format!("{{backendRef: {{name: b, port: 1}}, {fields}}}"))
}

const HTTP: &str = "HTTPRoute";

pub(super) fn rows() -> Vec<Row> {
    [unions(), payloads(), auths(), grpc()].into_iter().flatten().collect()
}

fn unions() -> Vec<Row> {
    let once = |filter_type: &str, field: &str| {
        let one = format!("{{type: {filter_type}, {field}: {{}}}}");
        filters(&format!("[{one}, {one}]"))
    };
    let mut rows: Vec<Row> = [
        ("RequestHeaderModifier has its payload", "RequestHeaderModifier", "spec.rules[0].filters[0].requestHeaderModifier"),
        ("ResponseHeaderModifier has its payload", "ResponseHeaderModifier", "spec.rules[0].filters[0].responseHeaderModifier"),
        ("RequestMirror has its payload", "RequestMirror", "spec.rules[0].filters[0].requestMirror"),
        ("RequestRedirect has its payload", "RequestRedirect", "spec.rules[0].filters[0].requestRedirect"),
        ("URLRewrite has its payload", "URLRewrite", "spec.rules[0].filters[0].urlRewrite"),
        ("CORS has its payload", "CORS", "spec.rules[0].filters[0].cors"),
        ("ExternalAuth has its payload", "ExternalAuth", "spec.rules[0].filters[0].externalAuth"),
        ("ExtensionRef has its payload", "ExtensionRef", "spec.rules[0].filters[0].extensionRef"),
    ]
    .into_iter()
    .map(|(rule, filter_type, path)| row(rule, HTTP, filters(&format!("[{{type: {filter_type}}}]")), path, "expected an object"))
    .collect();
    rows.extend([
        row(
            "a filter has no other payload",
            HTTP,
            filters("[{type: CORS, cors: {}, urlRewrite: {}}]"),
            "spec.rules[0].filters[0].urlRewrite",
            "expected nothing, as the type is \"CORS\"",
        ),
        row("a filter has a type", HTTP, filters("[{cors: {}}]"), "spec.rules[0].filters[0].type", "expected a value, found none"),
        row(
            "RequestHeaderModifier is there once",
            HTTP,
            once("RequestHeaderModifier", "requestHeaderModifier"),
            "spec.rules[0].filters[1]",
            "a type of its own",
        ),
        row(
            "ResponseHeaderModifier is there once",
            HTTP,
            once("ResponseHeaderModifier", "responseHeaderModifier"),
            "spec.rules[0].filters[1]",
            "a type of its own",
        ),
        row("RequestRedirect is there once", HTTP, once("RequestRedirect", "requestRedirect"), "spec.rules[0].filters[1]", "a type of its own"),
        row("URLRewrite is there once", HTTP, once("URLRewrite", "urlRewrite"), "spec.rules[0].filters[1]", "a type of its own"),
        row("CORS is there once", HTTP, once("CORS", "cors"), "spec.rules[0].filters[1]", "a type of its own"),
        row(
            "a rewrite excludes a redirect",
            HTTP,
            filters("[{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]"),
            "spec.rules[0].filters",
            "either a RequestRedirect or a URLRewrite",
        ),
        row(
            "a rewrite of a backend excludes a redirect",
            HTTP,
            rule(
                "backendRefs: [{name: b, port: 1, filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}]",
            ),
            "spec.rules[0].backendRefs[0].filters",
            "either a RequestRedirect or a URLRewrite",
        ),
        row(
            "a rule that redirects has no backends",
            HTTP,
            rule("filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: b, port: 1}]"),
            "spec.rules[0].backendRefs",
            "as the rule has a RequestRedirect",
        ),
        row(
            "a rule has at most 16 filters",
            HTTP,
            filters(&many(17, "{type: ExtensionRef, extensionRef: {group: a, kind: K, name: e#}}")),
            "spec.rules[0].filters",
            "at most 16 entries, found 17",
        ),
        row(
            "a backend has at most 16 filters",
            HTTP,
            rule(&format!(
                "backendRefs: [{{name: b, port: 1, filters: {}}}]",
                many(17, "{type: ExtensionRef, extensionRef: {group: a, kind: K, name: e#}}")
            )),
            "spec.rules[0].backendRefs[0].filters",
            "at most 16 entries, found 17",
        ),
    ]);
    rows
}

fn payloads() -> Vec<Row> {
    let modifier = |fields: &str| filter("URLRewrite", "urlRewrite", &format!("{{path: {{{fields}}}}}"));
    vec![
        row(
            "at most 16 headers are set",
            HTTP,
            edit(&format!("set: {}", many(17, "{name: h#, value: v}"))),
            "spec.rules[0].filters[0].requestHeaderModifier.set",
            "at most 16 entries, found 17",
        ),
        row(
            "at most 16 headers are added",
            HTTP,
            edit(&format!("add: {}", many(17, "{name: h#, value: v}"))),
            "spec.rules[0].filters[0].requestHeaderModifier.add",
            "at most 16 entries, found 17",
        ),
        row(
            "at most 16 headers are removed",
            HTTP,
            edit(&format!("remove: {}", many(17, "h#"))),
            "spec.rules[0].filters[0].requestHeaderModifier.remove",
            "at most 16 entries, found 17",
        ),
        row(
            "headers that are set are distinct",
            HTTP,
            edit("set: [{name: a, value: b}, {name: a, value: c}]"),
            "spec.rules[0].filters[0].requestHeaderModifier.set[1]",
            "a name of its own",
        ),
        row(
            "headers that are removed are distinct",
            HTTP,
            edit("remove: [a, a]"),
            "spec.rules[0].filters[0].requestHeaderModifier.remove[1]",
            "a name of its own",
        ),
        row(
            "the name of a header that is set is a token",
            HTTP,
            edit("set: [{name: 'a b', value: c}]"),
            "spec.rules[0].filters[0].requestHeaderModifier.set[0].name",
            "token characters",
        ),
        row(
            "a header is not set to nothing",
            HTTP,
            edit("set: [{name: a, value: ''}]"),
            "spec.rules[0].filters[0].requestHeaderModifier.set[0].value",
            "1 to 4096",
        ),
        row(
            "the value of a header that is set has single blanks",
            HTTP,
            edit("set: [{name: a, value: 'b  c'}]"),
            "spec.rules[0].filters[0].requestHeaderModifier.set[0].value",
            "single spaces",
        ),
        row(
            "percent excludes fraction",
            HTTP,
            mirror("percent: 1, fraction: {numerator: 1}"),
            "spec.rules[0].filters[0].requestMirror.fraction",
            "either",
        ),
        row(
            "a percentage is at most 100",
            HTTP,
            mirror("percent: 101"),
            "spec.rules[0].filters[0].requestMirror.percent",
            "from 0 to 100",
        ),
        row(
            "a percentage is not negative",
            HTTP,
            mirror("percent: -1"),
            "spec.rules[0].filters[0].requestMirror.percent",
            "from 0 to 100",
        ),
        row(
            "a fraction is at most one",
            HTTP,
            mirror("fraction: {numerator: 3, denominator: 2}"),
            "spec.rules[0].filters[0].requestMirror.fraction.numerator",
            "at most the denominator 2, found 3",
        ),
        row(
            "a denominator is not 0",
            HTTP,
            mirror("fraction: {numerator: 0, denominator: 0}"),
            "spec.rules[0].filters[0].requestMirror.fraction.denominator",
            "from 1",
        ),
        row(
            "the Service of a mirror has a port",
            HTTP,
            filter("RequestMirror", "requestMirror", "{backendRef: {name: b}}"),
            "spec.rules[0].filters[0].requestMirror.backendRef.port",
            "as the kind is Service",
        ),
        row(
            "a full path is replaced by a full path",
            HTTP,
            modifier("type: ReplaceFullPath"),
            "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath",
            "as the type is ReplaceFullPath",
        ),
        row(
            "a full path is not replaced by a prefix",
            HTTP,
            modifier("type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b"),
            "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch",
            "expected nothing",
        ),
        row(
            "a prefix is replaced by a prefix",
            HTTP,
            modifier("type: ReplacePrefixMatch"),
            "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch",
            "as the type is ReplacePrefixMatch",
        ),
        row(
            "a replacement has at most 1024 characters",
            HTTP,
            modifier(&format!("type: ReplaceFullPath, replaceFullPath: /{}", "a".repeat(1024))),
            "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath",
            "at most 1024",
        ),
        row(
            "a redirect leads to a host without wildcard",
            HTTP,
            filter("RequestRedirect", "requestRedirect", "{hostname: '*.a.b'}"),
            "spec.rules[0].filters[0].requestRedirect.hostname",
            "without wildcard",
        ),
        row(
            "a redirect leads to a port",
            HTTP,
            filter("RequestRedirect", "requestRedirect", "{port: 0}"),
            "spec.rules[0].filters[0].requestRedirect.port",
            "from 1 to 65535",
        ),
        row(
            "a rewrite leads to a host without wildcard",
            HTTP,
            filter("URLRewrite", "urlRewrite", "{hostname: '*.a.b'}"),
            "spec.rules[0].filters[0].urlRewrite.hostname",
            "without wildcard",
        ),
        row(
            "* is the only origin",
            HTTP,
            cors("allowOrigins: ['*', 'https://a.b']"),
            "spec.rules[0].filters[0].cors.allowOrigins",
            "to be the only entry",
        ),
        row(
            "* is the only method",
            HTTP,
            cors("allowMethods: ['*', GET]"),
            "spec.rules[0].filters[0].cors.allowMethods",
            "to be the only entry",
        ),
        row(
            "methods are those of RFC 9110",
            HTTP,
            cors("allowMethods: [BREW]"),
            "spec.rules[0].filters[0].cors.allowMethods[0]",
            "PATCH or *",
        ),
        row(
            "* is the only header",
            HTTP,
            cors("allowHeaders: [a, '*']"),
            "spec.rules[0].filters[0].cors.allowHeaders",
            "to be the only entry",
        ),
        row(
            "an origin has a scheme",
            HTTP,
            cors("allowOrigins: [a.b]"),
            "spec.rules[0].filters[0].cors.allowOrigins[0]",
            "an origin",
        ),
        row(
            "the wildcard of an origin is its first label",
            HTTP,
            cors("allowOrigins: ['https://a.*.b']"),
            "spec.rules[0].filters[0].cors.allowOrigins[0]",
            "an origin",
        ),
        row(
            "the port of an origin is one",
            HTTP,
            cors("allowOrigins: ['https://a.b:0']"),
            "spec.rules[0].filters[0].cors.allowOrigins[0]",
            "an origin",
        ),
        row(
            "origins are distinct",
            HTTP,
            cors("allowOrigins: ['http://a', 'http://a']"),
            "spec.rules[0].filters[0].cors.allowOrigins[1]",
            "a value of its own",
        ),
        row(
            "there are at most 64 origins",
            HTTP,
            cors(&format!("allowOrigins: {}", many(65, "'http://a#'"))),
            "spec.rules[0].filters[0].cors.allowOrigins",
            "at most 64 entries, found 65",
        ),
        row(
            "a header of CORS is a token",
            HTTP,
            cors("exposeHeaders: ['a b']"),
            "spec.rules[0].filters[0].cors.exposeHeaders[0]",
            "a header name",
        ),
        row("an age is positive", HTTP, cors("maxAge: 0"), "spec.rules[0].filters[0].cors.maxAge", "from 1"),
        row("a direct response is final", "DirectResponse", "{statusCode: 101}", "spec.statusCode", "from 200 to 599"),
        row(
            "a direct response is small",
            "DirectResponse",
            format!("{{body: {}}}", "b".repeat(64 * 1024 + 1)),
            "spec.body",
            "at most 65536 bytes",
        ),
        row("a media type is printable", "DirectResponse", "{contentType: \"a\\nb\"}", "spec.contentType", "printable"),
    ]
}

fn auths() -> Vec<Row> {
    vec![
        row(
            "authorization over HTTP has settings of HTTP",
            HTTP,
            auth("protocol: HTTP"),
            "spec.rules[0].filters[0].externalAuth.http",
            "as the type is HTTP",
        ),
        row(
            "authorization over gRPC has settings of gRPC",
            HTTP,
            auth("protocol: GRPC"),
            "spec.rules[0].filters[0].externalAuth.grpc",
            "as the type is GRPC",
        ),
        row(
            "authorization over HTTP has no settings of gRPC",
            HTTP,
            auth("protocol: HTTP, http: {}, grpc: {}"),
            "spec.rules[0].filters[0].externalAuth.grpc",
            "expected nothing",
        ),
        row(
            "authorization has a protocol",
            HTTP,
            auth("http: {}"),
            "spec.rules[0].filters[0].externalAuth.protocol",
            "found none",
        ),
        row(
            "the Service of authorization has a port",
            HTTP,
            filter("ExternalAuth", "externalAuth", "{protocol: HTTP, http: {}, backendRef: {name: b}}"),
            "spec.rules[0].filters[0].externalAuth.backendRef.port",
            "as the kind is Service",
        ),
        row(
            "a body is not negative",
            HTTP,
            auth("protocol: HTTP, http: {}, forwardBody: {maxSize: -1}"),
            "spec.rules[0].filters[0].externalAuth.forwardBody.maxSize",
            "from 0 to 2147483647",
        ),
        row(
            "a body is no larger than 32 bits can say",
            HTTP,
            auth("protocol: HTTP, http: {}, forwardBody: {maxSize: 2147483648}"),
            "spec.rules[0].filters[0].externalAuth.forwardBody.maxSize",
            "from 0 to 2147483647",
        ),
        row(
            "at most 64 headers go along",
            HTTP,
            auth(&format!("protocol: HTTP, http: {{allowedHeaders: {}}}", many(65, "h#"))),
            "spec.rules[0].filters[0].externalAuth.http.allowedHeaders",
            "at most 64 entries, found 65",
        ),
        row(
            "the path of authorization has characters of paths",
            HTTP,
            auth("protocol: HTTP, http: {path: '/a b'}"),
            "spec.rules[0].filters[0].externalAuth.http.path",
            "RFC 3986",
        ),
        row(
            "the path of authorization is not empty",
            HTTP,
            auth("protocol: HTTP, http: {path: ''}"),
            "spec.rules[0].filters[0].externalAuth.http.path",
            "1 to 1024",
        ),
    ]
}

fn grpc() -> Vec<Row> {
    let kind = "GRPCRoute";
    vec![
        row(
            "a filter has the payload of its type",
            kind,
            filters("[{type: RequestHeaderModifier}]"),
            "spec.rules[0].filters[0].requestHeaderModifier",
            "expected an object",
        ),
        row(
            "a filter has no other payload",
            kind,
            filters(
                "[{type: ExtensionRef, extensionRef: {group: a, kind: K, name: e}, requestMirror: {backendRef: {name: b, port: 1}}}]",
            ),
            "spec.rules[0].filters[0].requestMirror",
            "expected nothing",
        ),
        row(
            "RequestHeaderModifier is there once",
            kind,
            filters(&many(2, "{type: RequestHeaderModifier, requestHeaderModifier: {}}")),
            "spec.rules[0].filters[1]",
            "a type of its own",
        ),
        row(
            "calls are not redirected",
            kind,
            filters("[{type: Later, requestRedirect: {}}]"),
            "spec.rules[0].filters[0].requestRedirect",
            "a field of GRPCRoute",
        ),
        row(
            "a fraction is at most one",
            kind,
            filter("RequestMirror", "requestMirror", "{backendRef: {name: b, port: 1}, fraction: {numerator: 101}}"),
            "spec.rules[0].filters[0].requestMirror.fraction.numerator",
            "at most the denominator 100",
        ),
    ]
}
