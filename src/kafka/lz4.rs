//! How large an LZ4 frame becomes, told without decompressing it: librdkafka has no limit there.
//!
//! The format is <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>, and that of a block `lz4_Block_format.md` beside it.

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

const HAS_BLOCK_CHECKSUMS: u8 = 1 << 4;
const HAS_CONTENT_SIZE: u8 = 1 << 3;
const HAS_DICTIONARY: u8 = 1;

/// The bit of a block's size that says that the block is not compressed.
const IS_PLAIN: u32 = 1 << 31;

/// Returns whether `frame` decompresses to at most `limit` bytes; also false where it is no LZ4 frame.
pub(super) fn fits(frame: &[u8], limit: u64) -> bool {
    let Some(blocks) = blocks(frame) else {
        return false;
    };
    // Most blocks are full, so that this is nearly exact, and costs nothing.
    let bound = blocks
        .list
        .iter()
        .try_fold(0_u64, |sum, _| sum.checked_add(blocks.max_size));
    bound.is_some_and(|bound| bound <= limit) || size(&blocks, limit).is_some()
}

/// The blocks of a frame, and whether each is compressed.
struct Blocks<'a> {
    max_size: u64,
    list: Vec<(bool, &'a [u8])>,
}

fn blocks(frame: &[u8]) -> Option<Blocks<'_>> {
    let [flags, descriptor, rest @ ..] = frame.strip_prefix(&MAGIC)? else {
        return None;
    };
    let max_size = match descriptor >> 4 & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return None,
    };
    let header = (if flags & HAS_CONTENT_SIZE > 0 { 8 } else { 0 })
        + (if flags & HAS_DICTIONARY > 0 { 4 } else { 0 })
        + 1;
    let checksum = if flags & HAS_BLOCK_CHECKSUMS > 0 {
        4
    } else {
        0
    };
    let (mut rest, mut list) = (rest.get(header..)?, Vec::new());
    loop {
        let (word, behind) = rest.split_first_chunk()?;
        let word = u32::from_le_bytes(*word);
        if word == 0 {
            return Some(Blocks { max_size, list });
        }
        let length = usize::try_from(word & !IS_PLAIN).ok()?;
        list.push((word & IS_PLAIN == 0, behind.get(..length)?));
        rest = behind.get(length + checksum..)?;
    }
}

/// Returns the size of all blocks, if it is at most `limit`.
fn size(blocks: &Blocks<'_>, limit: u64) -> Option<u64> {
    blocks
        .list
        .iter()
        .try_fold(0, |sum, (is_compressed, block)| {
            let size = if *is_compressed {
                block_size(block)?
            } else {
                u64::try_from(block.len()).ok()?
            };
            Some(sum + size).filter(|sum| *sum <= limit)
        })
}

/// Returns the sum of a compressed block's literals and matches.
fn block_size(mut block: &[u8]) -> Option<u64> {
    let mut size = 0;
    loop {
        let (token, mut rest) = block.split_first()?;
        let literals = length(token >> 4, &mut rest)?;
        size += literals;
        rest = rest.get(usize::try_from(literals).ok()?..)?;
        if rest.is_empty() {
            return Some(size);
        }
        // The offset does not matter for the size.
        rest = rest.get(2..)?;
        size += length(token & 15, &mut rest)? + 4;
        block = rest;
    }
}

/// Returns a length that begins with the four bits of a token, and takes its other bytes from `rest`.
fn length(bits: u8, rest: &mut &[u8]) -> Option<u64> {
    let mut length = u64::from(bits);
    let mut is_last = bits < 15;
    while !is_last {
        let (byte, behind) = rest.split_first()?;
        length += u64::from(*byte);
        is_last = *byte < 255;
        *rest = behind;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame of blocks of at most 64 KiB.
    fn frame(blocks: &[(u32, &[u8])]) -> Vec<u8> {
        let mut frame = MAGIC.to_vec();
        frame.extend([0b0110_0000, 0x40, 0]);
        for (flag, block) in blocks {
            frame.extend((u32::try_from(block.len()).unwrap() | flag).to_le_bytes());
            frame.extend_from_slice(block);
        }
        frame.extend([0; 4]);
        frame
    }

    /// One literal, repeated: 1 + (15 + 255 + 10 + 4) bytes, and five literals at the end.
    const REPEATED: &[u8] = &[
        0x1f, b'x', 1, 0, 255, 10, 0x50, b'x', b'x', b'x', b'x', b'x',
    ];

    #[test]
    fn a_frame_is_as_large_as_its_blocks() {
        let rows = [
            (vec![], 0),
            (vec![(0, REPEATED)], 290),
            (
                vec![(0, REPEATED), (IS_PLAIN, b"plain"), (0, REPEATED)],
                585,
            ),
            (vec![(0, b"\x30abc".as_slice())], 3),
        ];
        for (blocks, size) in rows {
            let frame = frame(&blocks);
            assert!(fits(&frame, size), "{size}");
            assert!(size == 0 || !fits(&frame, size - 1), "{size}");
        }
    }

    #[test]
    fn what_is_no_frame_does_not_fit() {
        let good = frame(&[(0, REPEATED)]);
        for cut in 0..good.len() {
            assert!(!fits(&good[..cut], 1 << 20) || cut == good.len(), "{cut}");
        }
        assert!(!fits(b"no frame", 1 << 20));
        // A block that ends within a sequence, where it has to be looked into.
        assert!(!fits(&frame(&[(0, &REPEATED[..5])]), 1000));
    }
}
