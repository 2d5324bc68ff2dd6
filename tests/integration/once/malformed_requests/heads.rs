//! Malformed request heads: too long, too many lines, ambiguous body length, not HTTP.

use super::bodies::good;
use super::{Case, post};

/// Every head, as a whole request. Those that get past the head are refused for their body or their path.
pub fn cases(token: &str) -> Vec<Case> {
    let mut all = sizes(token);
    all.extend(framing(token));
    all.extend(shapes());
    all.extend(cut(token));
    all
}

fn case(what: &str, text: impl Into<Vec<u8>>) -> Case {
    (what.to_owned(), text.into())
}

fn sizes(token: &str) -> Vec<Case> {
    let get = |lines: &str| {
        format!(
            "GET /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\n{lines}\r\n"
        )
    };
    let many = |count: usize| {
        get(&(0..count)
            .map(|n| format!("x-{n}: y\r\n"))
            .collect::<String>())
    };
    let same = |count: usize| get(&"x: y\r\n".repeat(count));
    let long = "y".repeat(1_000_000);
    vec![
        case("100,000 header lines", many(100_000)),
        case("2,000 header lines", many(2_000)),
        case("300 header lines", many(300)),
        case("100,000 times the same header", same(100_000)),
        case("a header of 1 MB", get(&format!("x: {long}\r\n"))),
        case("a header's name of 1 MB", get(&format!("{long}: x\r\n"))),
        case(
            "a header that never ends",
            format!("GET /v1/uploads HTTP/1.1\r\nhost: b\r\nx: {long}"),
        ),
        case(
            "a cookie of 200 KB",
            get(&format!("cookie: {}\r\n", &long[..200_000])),
        ),
        case(
            "a path of 1 MB",
            format!("GET /{long} HTTP/1.1\r\nhost: b\r\n\r\n"),
        ),
        case(
            "a path of 60 KB",
            format!("GET /{} HTTP/1.1\r\nhost: b\r\n\r\n", &long[..60_000]),
        ),
        case(
            "a query of 1 MB",
            format!("GET /v1/uploads?{long} HTTP/1.1\r\nhost: b\r\n\r\n"),
        ),
        case(
            "a method of 1 MB",
            format!("{long} / HTTP/1.1\r\nhost: b\r\n\r\n"),
        ),
        case(
            "a token of 60 KB",
            format!(
                "GET /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {}\r\n\r\n",
                &long[..60_000]
            ),
        ),
        case(
            "10,000 slashes",
            format!("GET {} HTTP/1.1\r\nhost: b\r\n\r\n", "/".repeat(10_000)),
        ),
        case(
            "10,000 parameters",
            format!(
                "GET /v1/uploads?{} HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\n\r\n",
                "a&".repeat(10_000)
            ),
        ),
    ]
}

/// Ambiguous body lengths: a server and a proxy that read them differently allow request smuggling.
fn framing(token: &str) -> Vec<Case> {
    let post = |lines: &str, body: &str| {
        format!(
            "POST /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{lines}\r\n{body}"
        )
    };
    let chunked = "transfer-encoding: chunked\r\n";
    let smuggled = "0\r\n\r\nGET /livez HTTP/1.1\r\nhost: b\r\n\r\n";
    [
        (
            "TE and CL",
            post(&format!("{chunked}content-length: 4\r\n"), smuggled),
        ),
        (
            "CL and TE",
            post(&format!("content-length: 4\r\n{chunked}"), smuggled),
        ),
        (
            "TE: xchunked",
            post("transfer-encoding: xchunked\r\n", smuggled),
        ),
        (
            "TE: chunked, identity",
            post("transfer-encoding: chunked, identity\r\n", smuggled),
        ),
        (
            "TE: identity, chunked, chunked",
            post("transfer-encoding: chunked, chunked\r\n", smuggled),
        ),
        ("TE: gzip", post("transfer-encoding: gzip\r\n", smuggled)),
        (
            "TE with a space before its colon",
            post("transfer-encoding : chunked\r\n", smuggled),
        ),
        (
            "TE after a fold",
            post("x: y\r\n transfer-encoding: chunked\r\n", smuggled),
        ),
        (
            "two lengths",
            post("content-length: 2\r\ncontent-length: 3\r\n", "{}x"),
        ),
        (
            "two lengths in one line",
            post("content-length: 2, 3\r\n", "{}x"),
        ),
        ("a negative length", post("content-length: -1\r\n", "{}")),
        ("a signed length", post("content-length: +2\r\n", "{}")),
        (
            "a length in hexadecimal",
            post("content-length: 0x2\r\n", "{}"),
        ),
        ("an empty length", post("content-length: \r\n", "{}")),
        ("a length of words", post("content-length: two\r\n", "{}")),
        (
            "a length beyond 64 bits",
            post("content-length: 18446744073709551617\r\n", "{}"),
        ),
        (
            "a length of 5 GB",
            post("content-length: 5000000000\r\n", "{}"),
        ),
        (
            "a chunk size beyond 64 bits",
            post(chunked, "fffffffffffffffff\r\n{}"),
        ),
        ("a negative chunk", post(chunked, "-2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk of words", post(chunked, "zz\r\n{}\r\n0\r\n\r\n")),
        ("a chunk without its end", post(chunked, "2\r\n{}0\r\n\r\n")),
        ("chunks that end early", post(chunked, "2\r\n{}\r\n")),
        ("a chunk of 4 GB", post(chunked, "ffffffff\r\n{}")),
        (
            "20,000 chunks of a byte",
            post(chunked, &"1\r\n \r\n".repeat(20_000)),
        ),
        (
            "a chunk extension of 1 MB",
            post(
                chunked,
                &format!("2;x={}\r\n{{}}\r\n0\r\n\r\n", "y".repeat(1_000_000)),
            ),
        ),
    ]
    .into_iter()
    .map(|(what, text)| case(what, text))
    .collect()
}

fn shapes() -> Vec<Case> {
    [
        ("nothing but line ends", "\r\n\r\n\r\n"),
        ("a word", "hello\r\n\r\n"),
        ("no version", "GET /livez\r\n\r\n"),
        ("HTTP/9.9", "GET /livez HTTP/9.9\r\nhost: b\r\n\r\n"),
        ("HTTP/1.2", "GET /livez HTTP/1.2\r\nhost: b\r\n\r\n"),
        ("HTTP/2 without a word before", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}"),
        ("control characters", "\u{0}\u{1}\u{2}\u{3}\r\n\r\n"),
        ("a space in the path", "GET /live z HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a NUL in the path", "GET /livez\u{0} HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a NUL in a header", "GET /livez HTTP/1.1\r\nhost: b\r\nx: a\u{0}b\r\n\r\n"),
        ("a CR in a header", "GET /livez HTTP/1.1\r\nhost: b\r\nx: a\rb\r\n\r\n"),
        ("a header without a colon", "GET /livez HTTP/1.1\r\nhost: b\r\nhello\r\n\r\n"),
        ("a header without a name", "GET /livez HTTP/1.1\r\nhost: b\r\n: x\r\n\r\n"),
        ("a name with a space", "GET /livez HTTP/1.1\r\nhost: b\r\na b: x\r\n\r\n"),
        ("a name with a quote", "GET /livez HTTP/1.1\r\nhost: b\r\n\"a\": x\r\n\r\n"),
        ("a name that is not ASCII", "GET /livez HTTP/1.1\r\nhost: b\r\nä: x\r\n\r\n"),
        ("an encoded slash", "GET /v1%2fuploads HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a way up", "GET /v1/../../etc/passwd HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("an encoded way up", "GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a bad escape", "GET /%zz HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a path that is not UTF-8", "GET /%ff%fe HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n"),
        ("another's address", "GET http://evil.example/x HTTP/1.1\r\nhost: evil.example\r\n\r\n"),
        ("a trace", "TRACE / HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("an unknown method", "BREW /livez HTTP/1.1\r\nhost: b\r\n\r\n"),
        ("two tokens", "GET /v1/uploads HTTP/1.1\r\nhost: b\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"),
    ]
    .into_iter()
    .map(|(what, text)| case(what, text))
    .collect()
}

/// A valid request that ends early, at every twentieth of its length.
fn cut(token: &str) -> Vec<Case> {
    let whole = post(token, "", good().to_string().as_bytes());
    (1..20)
        .map(|part| {
            let end = whole.len() * part / 20;
            (
                format!("{end} bytes of {}", whole.len()),
                whole[..end].to_vec(),
            )
        })
        .collect()
}
