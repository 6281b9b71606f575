use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::super::fixtures::{cases, id};
use super::*;

const HEADERS: u16 = 1 << 13;

fn id_entry() -> Vec<u8> {
    let mut entry = b"\x0cx-amqpost-idS\0\0\0\x24".to_vec();
    entry.extend_from_slice(id(5).text().as_bytes());
    entry
}

/// A content header whose table holds `entries`, as they stand.
fn header(flags: u16, before: &[u8], entries: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_u16(60);
    out.put_u16(0);
    out.put_u64(77);
    out.put_u16(flags);
    out.put_slice(before);
    out.put_u32(u32::try_from(entries.len()).expect("small"));
    out.put_slice(entries);
    out.to_vec()
}

/// A value inside arrays inside arrays, `depth` of them.
fn nested(depth: u32) -> Vec<u8> {
    let mut value = Vec::new();
    for inside in (0..depth).rev() {
        value.push(b'A');
        value.extend_from_slice(&(5 * inside).to_be_bytes());
    }
    value
}

#[test]
fn the_id_is_found_behind_other_properties_and_after_headers_of_every_type() {
    let others: &[&[u8]] = &[
        b"t\x01",
        b"b1",
        b"B1",
        b"s12",
        b"u12",
        b"U12",
        b"I1234",
        b"i1234",
        b"f1234",
        b"D12345",
        b"l12345678",
        b"L12345678",
        b"d12345678",
        b"T12345678",
        b"S\0\0\0\x01a",
        b"x\0\0\0\x02ab",
        b"V",
        b"A\0\0\0\x02t\x01",
        b"F\0\0\0\x03\x01aV",
    ];
    let mut entries = Vec::new();
    for other in others {
        entries.extend_from_slice(b"\x01n");
        entries.extend_from_slice(other);
    }
    entries.extend_from_slice(&id_entry());
    let found = read_header(&header(HEADERS | 3 << 14, b"\x01a\x02bc", &entries));
    assert_eq!(found, Ok((id(5), 77)));
}

#[test]
fn a_return_without_the_id_is_a_violation() {
    let no_uuid = b"\x0cx-amqpost-idS\0\0\0\x01a";
    let no_text = b"\x0cx-amqpost-idt\x01";
    let nested = b"\x01aF\0\0\0\x0f\x0cx-amqpost-idt\x01";
    for entries in [&b""[..], b"\x01at\x01", no_uuid, no_text, nested] {
        let violation = read_header(&header(HEADERS, b"", entries)).expect_err("no id");
        assert_eq!(violation.code, 505, "{entries:?}");
    }
    let violation = read_header(&header(0, b"", b"")).expect_err("no headers");
    assert_eq!(violation.code, 505);
}

#[test]
fn a_header_that_ends_too_early_or_cannot_be_read_is_a_syntax_error() {
    let whole = header(HEADERS, b"", &id_entry());
    for cut in 0..whole.len() {
        let violation = read_header(&whole[..cut]).expect_err("cut off");
        assert_eq!(violation.code, 502, "{cut}");
    }
    let unknown = header(HEADERS, b"", b"\x01a?");
    assert_eq!(read_header(&unknown).map_err(|one| one.code), Err(502));
    let lying = header(HEADERS, b"", b"\x01aS\xff\xff\xff\xff");
    assert_eq!(read_header(&lying).map_err(|one| one.code), Err(502));
    let mut class = whole;
    class[1] = 61;
    assert_eq!(read_header(&class).map_err(|one| one.code), Err(502));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_bytes_make_it_panic(entries in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = read_header(&entries);
        let _ = read_header(&header(HEADERS, b"", &entries));
    }
}

#[test]
fn headers_nested_as_deep_as_a_frame_allows_do_not_bring_the_process_down() {
    let entries = [&b"\x01a"[..], &nested(26_000), &id_entry()].concat();
    let found = read_header(&header(HEADERS, b"", &entries));
    assert_eq!(found, Ok((id(5), 77)));
}
