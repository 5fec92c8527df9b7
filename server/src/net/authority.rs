//! Makes the `:authority` of clients on a Unix socket one that our HTTP/2 library takes.
//!
//! gRPC has no rule for it there: some clients send the path of the socket, `/run/mosd/mosd.sock`,
//! others the path in percent encoding. Neither is an authority of RFC 3986, and h2 resets such a
//! request before we see it. Nothing of ours depends on the authority of a Unix socket, so its `/`
//! and `%` are replaced on the way in, in place. No length changes, neither of the bytes nor of the
//! decoded text: the tables of the header compression (HPACK, RFC 7541) stay in step.
//!
//! What is not understood is passed on as it is, for h2 to judge.

/// Bytes that a client sends before its first frame.
const PREFACE_BYTES: u32 = 24;

/// The frames that carry headers, and flags of the first (RFC 9113, section 6).
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Bytes of the priority in HEADERS.
const PRIORITY_BYTES: u32 = 5;

/// The name of the field: its index in the static table of HPACK, its text, and that in Huffman
/// code.
const AUTHORITY_INDEX: u8 = 1;
const AUTHORITY: &[u8] = b":authority";
const AUTHORITY_CODED: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// The longest Huffman code that is followed, in bits: all of printable ASCII but `\` is shorter.
const CODE_BITS_MAX: u32 = 15;

/// Follows what one client sends.
#[derive(Debug)]
pub(super) struct AuthorityFilter {
    at: At,
    field: Field,
}

/// Where in the frames the next byte lies.
#[derive(Debug, Clone, Copy)]
enum At {
    /// So many bytes before the header of a frame.
    Skip(u32),
    /// The header of a frame, of which so many bytes are known.
    Head([u8; 9], usize),
    /// The length of the padding, before so many bytes of priority and of payload.
    Padding { before: u32, payload: u32 },
    /// A header block, behind so many bytes of priority and before so many of padding.
    Block { before: u32, left: u32, padding: u32 },
    /// Not known.
    Lost,
}

/// Where in a header block the next byte lies (RFC 7541, section 6).
#[derive(Debug, Clone, Copy)]
enum Field {
    /// The first byte of a field.
    First,
    /// More of an index, before the strings of the field.
    Index(Strings),
    /// The length of a string.
    Length(Strings),
    /// More of it.
    MoreLength { strings: Strings, code: Option<Symbol>, length: u64, shift: u32 },
    /// So many bytes of a string.
    Text { strings: Strings, code: Option<Symbol>, left: u64 },
    /// Not known.
    Lost,
}

/// The strings of a field that have not ended.
#[derive(Debug, Clone, Copy)]
struct Strings {
    /// The name and the value, or the value.
    count: u8,
    /// Whether the name is `:authority`, as far as is known.
    is_authority: bool,
}

/// The bits of a symbol in Huffman code, so far.
#[derive(Debug, Clone, Copy, Default)]
struct Symbol {
    bits: u16,
    count: u32,
}

impl AuthorityFilter {
    /// At the beginning of a connection.
    pub(super) const fn new() -> Self {
        Self { at: At::Skip(PREFACE_BYTES), field: Field::First }
    }

    /// Mends the next bytes.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.step(rest);
            rest = &mut rest[taken..];
        }
    }

    /// Mends the first of these bytes; returns how many that were.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        match &mut self.at {
            At::Skip(0) => self.at = At::Head([0; 9], 0),
            At::Block { before: 0, left: 0, padding } => self.at = At::Skip(*padding),
            At::Skip(left) | At::Block { before: left @ 1.., .. } => return skip(left, bytes),
            At::Block { left, .. } => {
                *left -= 1;
                self.field = self.field.pass(&mut bytes[0]);
                return 1;
            }
            At::Head(head, known) => {
                head[*known] = bytes[0];
                *known += 1;
                if *known == head.len() {
                    let head = *head;
                    self.begin(head);
                }
                return 1;
            }
            At::Padding { before, payload } => {
                self.at = block(*before, *payload, bytes[0].into());
                return 1;
            }
            At::Lost => return bytes.len(),
        }
        0
    }

    /// A frame begins.
    fn begin(&mut self, [a, b, c, kind, flags, ..]: [u8; 9]) {
        let length = u32::from_be_bytes([0, a, b, c]);
        self.at = match kind {
            HEADERS => {
                self.field = Field::First;
                let before = if flags & PRIORITY == 0 { 0 } else { PRIORITY_BYTES };
                match length.checked_sub(1) {
                    Some(payload) if flags & PADDED != 0 => At::Padding { before, payload },
                    Some(_) | None => block(before, length, 0),
                }
            }
            CONTINUATION => block(0, length, 0),
            _ => At::Skip(length),
        };
    }
}

/// A header block, from the size of what surrounds it.
fn block(before: u32, payload: u32, padding: u32) -> At {
    let left = payload.checked_sub(before + padding);
    left.map_or(At::Lost, |left| At::Block { before, left, padding })
}

/// Passes over bytes; returns how many that were.
fn skip(left: &mut u32, bytes: &[u8]) -> usize {
    let taken = u32::try_from(bytes.len()).map_or(*left, |length| length.min(*left));
    *left -= taken;
    usize::try_from(taken).unwrap_or(bytes.len())
}

impl Field {
    /// Mends the next byte of a header block.
    fn pass(self, byte: &mut u8) -> Self {
        let (is_high, low) = (*byte & 0x80 != 0, *byte & 0x7f);
        match self {
            Self::First => Self::first(*byte),
            Self::Index(_) if is_high => self,
            Self::Index(strings) => Self::before(strings),
            Self::Length(strings) => {
                let code = is_high.then(Symbol::default);
                match low {
                    0x7f => Self::MoreLength { strings, code, length: 0x7f, shift: 0 },
                    length => Self::text(strings, code, length.into()),
                }
            }
            Self::MoreLength { shift: 28.., .. } => Self::Lost,
            Self::MoreLength { strings, code, length, shift } => {
                let length = length + (u64::from(low) << shift);
                if is_high {
                    Self::MoreLength { strings, code, length, shift: shift + 7 }
                } else {
                    Self::text(strings, code, length)
                }
            }
            Self::Text { mut strings, mut code, left } => {
                if strings.count == 2 {
                    strings.is_authority &= is_in_place(*byte, name(code), left);
                } else if strings.is_authority {
                    mend(byte, code.as_mut());
                }
                Self::rest(strings, code, left - 1)
            }
            Self::Lost => Self::Lost,
        }
    }

    /// After the first byte of a field.
    const fn first(byte: u8) -> Self {
        let (prefix, is_literal) = match byte.leading_zeros() {
            0 => (0x7f, false),
            1 => (0x3f, true),
            2 => (0x1f, false),
            _ => (0x0f, true),
        };
        let index = byte & prefix;
        let count = match (is_literal, index) {
            (false, _) => 0,
            (true, 0) => 2,
            (true, _) => 1,
        };
        let strings = Strings { count, is_authority: index == AUTHORITY_INDEX };
        if index == prefix { Self::Index(strings) } else { Self::before(strings) }
    }

    /// Before these strings of a field.
    const fn before(strings: Strings) -> Self {
        if strings.count == 0 { Self::First } else { Self::Length(strings) }
    }

    /// At the beginning of a string of this length.
    fn text(strings: Strings, code: Option<Symbol>, length: u64) -> Self {
        let may_be = strings.count == 2 && u64::try_from(name(code).len()) == Ok(length);
        let is_authority = strings.is_authority || may_be;
        Self::rest(Strings { is_authority, ..strings }, code, length)
    }

    /// Before so many bytes of a string.
    const fn rest(strings: Strings, code: Option<Symbol>, left: u64) -> Self {
        match left {
            0 => Self::before(Strings { count: strings.count - 1, ..strings }),
            left => Self::Text { strings, code, left },
        }
    }
}

/// The name `:authority` in such a string.
const fn name(code: Option<Symbol>) -> &'static [u8] {
    if code.is_some() { AUTHORITY_CODED } else { AUTHORITY }
}

/// Whether the name has this byte where so many are left of it.
fn is_in_place(byte: u8, name: &[u8], left: u64) -> bool {
    let place = usize::try_from(left).ok().and_then(|left| name.len().checked_sub(left));
    place.and_then(|place| name.get(place)) == Some(&byte)
}

/// Mends one byte of an authority.
fn mend(byte: &mut u8, code: Option<&mut Symbol>) {
    match code {
        Some(code) => code.mend(byte),
        None if matches!(byte, b'/' | b'%') => *byte = b'-',
        None => {}
    }
}

impl Symbol {
    /// Mends one byte: sets the bit that makes of `%`, 010101, a full stop, 010111, and of `/`,
    /// 011000, the digit 3, 011001. Of a space, 010100, that makes a hyphen.
    fn mend(&mut self, byte: &mut u8) {
        for place in (0..u8::BITS).rev() {
            if self.count > CODE_BITS_MAX {
                return;
            }
            self.bits = self.bits << 1 | u16::from(*byte >> place & 1);
            self.count += 1;
            if matches!((self.count, self.bits), (5, 0b0_1010) | (6, 0b01_1000)) {
                *byte |= 1 << place;
                self.bits |= 1;
            }
            if self.is_whole() {
                *self = Self::default();
            }
        }
    }

    /// Whether it is the code of a symbol: the code is canonical, so the last of each length says.
    const fn is_whole(self) -> bool {
        let last = match self.count {
            5 => 0x9,
            6 => 0x2d,
            7 => 0x7b,
            8 => 0xfd,
            10 => 0x3fc,
            11 => 0x7fc,
            12 => 0xffb,
            13 => 0x1ffd,
            14 => 0x3ffd,
            15 => 0x7ffe,
            _ => return false,
        };
        self.bits <= last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Huffman codes of RFC 7541, appendix B: bits and their number.
    const CODES: [(char, u32, u32); 13] = [
        ('%', 0x15, 6),
        ('-', 0x16, 6),
        ('.', 0x17, 6),
        ('/', 0x18, 6),
        ('2', 0x2, 5),
        ('3', 0x19, 6),
        ('F', 0x61, 7),
        ('X', 0xfc, 8),
        ('m', 0x29, 6),
        ('o', 0x7, 5),
        ('s', 0x8, 5),
        ('~', 0x1ffd, 13),
        ('\0', 0x1ff8, 13),
    ];

    fn huffman(text: &str) -> Vec<u8> {
        let bits: String = text
            .chars()
            .map(|wanted| {
                let (_, code, count) = CODES.into_iter().find(|row| row.0 == wanted).unwrap();
                format!("{code:0count$b}", count = count as usize)
            })
            .collect();
        // Padding is made of ones.
        let bytes = bits.as_bytes().chunks(8).map(|byte| {
            let byte = format!("{:1<8}", str::from_utf8(byte).unwrap());
            u8::from_str_radix(&byte, 2).unwrap()
        });
        bytes.collect()
    }

    /// Marks of strings.
    const PLAIN: u8 = 0;
    const HUFFMAN: u8 = 0x80;

    fn string(bytes: &[u8], mark: u8) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        let mut text = match length.checked_sub(0x7f) {
            None => vec![mark | length],
            Some(more) => vec![mark | 0x7f, more],
        };
        text.extend(bytes);
        text
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// What h2 is given of these frames, whatever pieces they come in.
    fn passed(frames: &[Vec<u8>]) -> Vec<u8> {
        let sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat();
        let in_pieces = |size: usize| {
            let (mut filter, mut bytes) = (AuthorityFilter::new(), sent.clone());
            bytes.chunks_mut(size).for_each(|piece| filter.pass(piece));
            bytes
        };
        let whole = in_pieces(sent.len());
        for size in 1..40 {
            assert_eq!(in_pieces(size), whole, "in pieces of {size}");
        }
        whole[PREFACE_BYTES as usize..].to_vec()
    }

    /// A header block with this authority, a field before it that has strings of both forms, and
    /// one behind it that looks like a path.
    fn block(authority: &[u8], mark: u8) -> Vec<u8> {
        let long = [b'/'; 200];
        [
            &[0x83, 0x3f, 0x81, 0x1f, 0x40][..],
            &string(&huffman("/o/"), HUFFMAN),
            &string(&long, PLAIN),
            &[0x41],
            &string(authority, mark),
            &[0x44],
            &string(b"/a%b", PLAIN),
            &[0x0f, 0x01],
            &string(b"/", PLAIN),
        ]
        .concat()
    }

    #[test]
    fn a_path_becomes_an_authority_and_nothing_else_changes() {
        for (sent, expected) in [("/run/a.sock", "-run-a.sock"), ("%2Frun%2Fa", "-2Frun-2Fa")] {
            let [sent, expected] =
                [sent, expected].map(|text| [frame(HEADERS, 4, &block(text.as_bytes(), PLAIN))]);
            assert_eq!(passed(&sent), expected.concat());
        }
        let plain = [frame(HEADERS, 4, &block(b"localhost:50551", PLAIN))];
        assert_eq!(passed(&plain), plain.concat());
    }

    #[test]
    fn in_huffman_code_no_symbol_changes_its_length() {
        for (sent, expected) in [
            ("/mos/X~/s", "3mos3X~3s"),
            ("%2Fmos%2F\0%2F", ".2Fmos.2F\0.2F"),
            ("mos-3.s", "mos-3.s"),
            ("", ""),
        ] {
            let [sent, expected] =
                [sent, expected].map(|text| [frame(HEADERS, 4, &block(&huffman(text), HUFFMAN))]);
            assert_eq!(passed(&sent), expected.concat());
        }
    }

    #[test]
    fn the_name_may_be_spelt_out() {
        let field = |name: &[u8], mark: u8, value: &[u8]| {
            frame(HEADERS, 4, &[&[0x40], &string(name, mark)[..], &string(value, PLAIN)].concat())
        };
        for (name, mark) in [(AUTHORITY, PLAIN), (AUTHORITY_CODED, HUFFMAN)] {
            let passed = passed(&[field(name, mark, b"tmp%2Fa"), field(b"", PLAIN, b"/")]);
            let expected = [field(name, mark, b"tmp-2Fa"), field(b"", PLAIN, b"/")];
            assert_eq!(passed, expected.concat());
        }
        for other in [&b":authoritx"[..], b":buthority", AUTHORITY_CODED] {
            let sent = [field(other, PLAIN, b"tmp%2Fa")];
            assert_eq!(passed(&sent), sent.concat());
        }
    }

    #[test]
    fn a_block_is_followed_over_frames_padding_and_priority() {
        let whole = |authority: &[u8]| {
            let block = block(authority, PLAIN);
            let (first, second) = block.split_at(block.len() - 20);
            let padded = [&[3, 0, 0, 0, 0, 16], first, b"/%/"].concat();
            [
                frame(4, 0, b"/%/%"),
                frame(HEADERS, PADDED | PRIORITY, &padded),
                frame(CONTINUATION, 4, second),
                frame(0, 1, b"\x41\x01/"),
                frame(HEADERS, 4, &[[0x41].as_slice(), &string(authority, PLAIN)].concat()),
            ]
        };
        assert_eq!(passed(&whole(b"/s/s")), whole(b"-s-s").concat());
    }

    #[test]
    fn nonsense_is_passed_on() {
        let too_much_padding = frame(HEADERS, PADDED, b"\xff\x41\x01/");
        let endless_length = frame(HEADERS, 4, &[&[0x41, 0x7f][..], &[0xff; 9], b"/"].concat());
        for sent in [too_much_padding, endless_length, frame(HEADERS, PADDED, b"")] {
            assert_eq!(passed(std::slice::from_ref(&sent)), sent);
        }
        let mut noise: Vec<u8> =
            (0..20_000_u32).map(|n| (n * n / 7 + n / 13).to_le_bytes()[0]).collect();
        AuthorityFilter::new().pass(&mut noise);
    }
}
