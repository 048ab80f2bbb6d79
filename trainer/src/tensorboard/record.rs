//! The TFRecord framing: `u64` length, masked CRC-32C of the length, the bytes, masked CRC-32C of
//! the bytes; all numbers little-endian.

use std::io::{self, Write};

/// Added after the rotation, so that a CRC over data which itself holds CRCs stays meaningful.
const MASK: u32 = 0xa282_ead8;

/// Appends `payload` to `out` as one record.
pub(super) fn write(out: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    let length = (payload.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(payload)?;
    out.write_all(&masked_crc(payload).to_le_bytes())
}

/// CRC-32C (Castagnoli), rotated right by 15 bits, plus [`MASK`].
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

/// The payloads of a whole file, or nothing when a length or a checksum does not fit.
#[cfg(test)]
pub(super) fn read_all(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at_checked(8)?;
        let (length_crc, rest) = rest.split_at_checked(4)?;
        let size = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (payload, rest) = rest.split_at_checked(size)?;
        let (payload_crc, rest) = rest.split_at_checked(4)?;
        if masked_crc(length).to_le_bytes() != length_crc || masked_crc(payload).to_le_bytes() != payload_crc {
            return None;
        }
        payloads.push(payload.to_vec());
        bytes = rest;
    }
    Some(payloads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_and_masked() {
        // 0xe3069283 is the check value of CRC-32C over the nine digits.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // Rotated by 15 bits 0xe3069283 is 0x2507c60d.
        assert_eq!(masked_crc(b"123456789"), 0x2507_c60d_u32.wrapping_add(0xa282_ead8));
    }

    #[test]
    fn records_can_be_read_back_and_a_flipped_bit_is_seen() {
        let mut file = Vec::new();
        write(&mut file, b"first").unwrap();
        write(&mut file, b"").unwrap();
        assert_eq!(file.len(), 16 + 5 + 16);
        assert_eq!(read_all(&file).unwrap(), [b"first".to_vec(), Vec::new()]);
        file[13] ^= 1;
        assert!(read_all(&file).is_none());
    }
}
