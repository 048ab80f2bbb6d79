//! Image files, made in code.

/// A grey picture of 16 bits (PGM), another one for each seed.
pub fn pgm(seed: usize) -> Vec<u8> {
    let (width, height) = (300usize, 280usize);
    let mut file = format!("P5 {width} {height} 65535\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            let wave = ((x + 17 * seed) % 97) * 300 + ((y * (3 + seed % 5)) % 83) * 250;
            file.extend((wave as u16).to_be_bytes());
        }
    }
    file
}

/// A chest radiograph in DICOM: 12 bits, explicit little-endian, with a patient's name.
pub fn dicom(patient: &str) -> Vec<u8> {
    let side = 256u16;
    let pixels: Vec<u8> = (0..u32::from(side) * u32::from(side))
        .flat_map(|place| (((place % 256) * 13 + place / 256 * 3) as u16 & 0x0fff).to_le_bytes())
        .collect();
    let mut set = Vec::new();
    element(&mut set, (0x0008, 0x0060), *b"CS", b"DX");
    element(&mut set, (0x0010, 0x0010), *b"PN", patient.as_bytes());
    element(&mut set, (0x0018, 0x0015), *b"CS", b"CHEST ");
    element(&mut set, (0x0018, 0x5101), *b"CS", b"PA");
    element(&mut set, (0x0028, 0x0002), *b"US", &1u16.to_le_bytes());
    element(&mut set, (0x0028, 0x0004), *b"CS", b"MONOCHROME2 ");
    for (tag, value) in [(0x0010u16, side), (0x0011, side), (0x0100, 16), (0x0101, 12), (0x0102, 11), (0x0103, 0)] {
        element(&mut set, (0x0028, tag), *b"US", &value.to_le_bytes());
    }
    element(&mut set, (0x0028, 0x1050), *b"DS", b"1000");
    element(&mut set, (0x0028, 0x1051), *b"DS", b"800 ");
    element(&mut set, (0x7FE0, 0x0010), *b"OW", &pixels);
    with_preamble(&set)
}

/// `depth` sequences of undefined length within each other, none of them closed.
pub fn nested_dicom(depth: usize) -> Vec<u8> {
    let level: [u8; 20] = [
        0x08, 0x00, 0x15, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff,
        0xff,
    ];
    with_preamble(&level.repeat(depth))
}

/// A radiograph that claims 65,535 × 65,535 pixels and has 4.
pub fn boasting_dicom() -> Vec<u8> {
    let mut set = Vec::new();
    element(&mut set, (0x0008, 0x0060), *b"CS", b"DX");
    element(&mut set, (0x0028, 0x0002), *b"US", &1u16.to_le_bytes());
    element(&mut set, (0x0028, 0x0004), *b"CS", b"MONOCHROME2 ");
    for (tag, value) in
        [(0x0010u16, 65_535u16), (0x0011, 65_535), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)]
    {
        element(&mut set, (0x0028, tag), *b"US", &value.to_le_bytes());
    }
    element(&mut set, (0x7FE0, 0x0010), *b"OW", &[0; 8]);
    with_preamble(&set)
}

fn with_preamble(set: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    element(&mut meta, (0x0002, 0x0010), *b"UI", b"1.2.840.10008.1.2.1\0");
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    element(&mut file, (0x0002, 0x0000), *b"UL", &(meta.len() as u32).to_le_bytes());
    file.extend(meta);
    file.extend(set);
    file
}

fn element(set: &mut Vec<u8>, (group, tag): (u16, u16), vr: [u8; 2], value: &[u8]) {
    let odd = value.len() % 2;
    set.extend(group.to_le_bytes());
    set.extend(tag.to_le_bytes());
    set.extend(vr);
    if matches!(&vr, b"OW" | b"OB") {
        set.extend([0, 0]);
        set.extend(((value.len() + odd) as u32).to_le_bytes());
    } else {
        set.extend(((value.len() + odd) as u16).to_le_bytes());
    }
    set.extend(value);
    set.extend(vec![b' '; odd]);
}
