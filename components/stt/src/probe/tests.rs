use proptest::prelude::*;

use super::*;

const SAMPLES: [(&str, &[u8], Container); 8] = [
    ("mp3", include_bytes!("samples/tone.mp3"), Container::Mp3),
    ("m4a", include_bytes!("samples/tone.m4a"), Container::M4a),
    (
        "fragmented",
        include_bytes!("samples/fragmented.mp4"),
        Container::Mp4,
    ),
    ("vorbis", include_bytes!("samples/tone.ogg"), Container::Ogg),
    ("opus", include_bytes!("samples/opus.ogg"), Container::Ogg),
    ("webm", include_bytes!("samples/tone.webm"), Container::Webm),
    ("live", include_bytes!("samples/live.webm"), Container::Webm),
    ("flac", include_bytes!("samples/tone.flac"), Container::Flac),
];

fn probe(file: &[u8], piece: usize) -> Result<Recording, Unreadable> {
    let mut probe = Probe::new();
    for chunk in file.chunks(piece) {
        probe.push(chunk)?;
    }
    probe.finish()
}

/// RIFF WAVE of those samples' bytes.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let width = u32::from(bits / 8) * u32::from(channels);
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    for short in [tag, channels] {
        file.extend(short.to_le_bytes());
    }
    for long in [rate, rate * width] {
        file.extend(long.to_le_bytes());
    }
    for short in [u16::try_from(width).unwrap(), bits] {
        file.extend(short.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    file.extend(data);
    file
}

fn amr(frames: usize) -> Vec<u8> {
    let mut file = b"#!AMR\n".to_vec();
    for _ in 0..frames {
        // 12.2 kbit/s.
        file.push(0x3C);
        file.extend([0; 31]);
    }
    file
}

#[test]
fn every_container_is_known_and_measured_however_it_arrives() {
    for (name, file, container) in SAMPLES {
        for piece in [1, 7, 1_000, 1 << 20] {
            let found = probe(file, piece).unwrap();
            assert_eq!(found.container, container, "{name}");
            assert_eq!(found.channels, Some(1), "{name}");
            assert!(!found.truncated, "{name}");
            let duration = found.duration_ms.unwrap();
            assert!((1_470..=1_600).contains(&duration), "{name}: {duration} ms");
        }
    }
    let found = probe(&amr(75), 10).unwrap();
    assert_eq!(
        (found.container, found.duration_ms),
        (Container::Amr, Some(1_500))
    );
}

#[test]
fn a_tag_before_the_sound_is_passed_over() {
    let mut file = b"ID3\x04\0\0\0\0\x02\0".to_vec();
    file.extend([0; 256]);
    file.extend(SAMPLES[0].1);
    let found = probe(&file, 100).unwrap();
    assert_eq!(found.container, Container::Mp3);
    let untagged = probe(SAMPLES[0].1, 100).unwrap();
    assert_eq!(found.duration_ms, untagged.duration_ms);
}

#[test]
fn pcm_tells_its_length_and_how_loud_it_is() {
    let tone: Vec<u8> = (0..16_000)
        .map(|at| ((f64::from(at) / 5.0).sin() * 10_000.0) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    let found = probe(&wav(1, 1, 16_000, 16, &tone), 999).unwrap();
    assert_eq!(found.duration_ms, Some(1_000));
    assert!(found.loudest.unwrap() > 0.1);
    for (tag, bits, silence) in [
        (1, 8, 128),
        (1, 8, 129),
        (1, 16, 0),
        (1, 24, 0),
        (1, 32, 0),
        (3, 32, 0),
    ] {
        let data = vec![silence; 48_000];
        let found = probe(&wav(tag, 2, 8_000, bits, &data), 1_001).unwrap();
        assert_eq!(found.loudest, Some(0.0), "{bits} bits");
        assert_eq!(found.channels, Some(2));
    }
    // GSM: measured, and not listened to.
    let gsm = probe(&wav(0x31, 1, 8_000, 0, &[0; 8_000]), 64).unwrap();
    assert_eq!(gsm.loudest, None);
}

#[test]
fn a_telephone_that_says_nothing_is_silent() {
    for (tag, bits, silence, sound) in [
        // A-law and mu-law: the numbers next to 0, and the largest.
        (6, 8, vec![0xD5, 0x55], vec![0x2A, 0xAA]),
        (7, 8, vec![0xFF, 0x7F], vec![0x00, 0x80]),
        (3, 64, vec![0; 8], 1_f64.to_le_bytes().to_vec()),
    ] {
        let of = |sample: &[u8]| {
            let file = wav(tag, 1, 8_000, bits, &sample.repeat(8_000));
            probe(&file, 999).unwrap()
        };
        let found = of(&silence);
        assert!(crate::limits::is_silent(&found), "{tag}: {found:?}");
        let loudest = of(&sound).loudest.unwrap();
        assert!(loudest > 0.9, "{tag}: {loudest}");
    }
}

#[test]
fn a_file_that_was_cut_says_so_and_is_as_long_as_it_is() {
    let whole = wav(1, 1, 8_000, 16, &[0; 32_000]);
    let found = probe(&whole[..whole.len() - 16_000], 500).unwrap();
    assert_eq!((found.duration_ms, found.truncated), (Some(1_000), true));
    let mp3 = SAMPLES[0].1;
    let found = probe(&mp3[..mp3.len() / 2], 500).unwrap();
    assert!(
        found.truncated && found.duration_ms.unwrap() < 1_000,
        "{found:?}"
    );
    // The head comes last: without it nothing is known.
    let m4a = SAMPLES[1].1;
    assert!(matches!(
        probe(&m4a[..m4a.len() / 2], 500),
        Err(Unreadable::Corrupt(_))
    ));
}

fn sample(name: &str) -> Vec<u8> {
    let (_, file, _) = SAMPLES.iter().find(|(known, ..)| *known == name).unwrap();
    file.to_vec()
}

#[test]
fn a_flac_file_that_was_cut_is_as_long_as_its_frames() {
    let whole = sample("flac");
    let expected = probe(&whole, 999).unwrap();
    assert_eq!(
        (expected.duration_ms, expected.truncated),
        (Some(1_500), false)
    );
    let mut last = 0;
    for missing in [5_000, 4_000, 2_000, 100, 1] {
        let cut = whole.len() - missing;
        let found = probe(&whole[..cut], 777).unwrap();
        let duration = found.duration_ms.unwrap();
        assert!(
            found.truncated && duration < 1_500,
            "{cut} bytes: {found:?}"
        );
        assert!(duration >= last, "{duration} after {last}");
        last = duration;
    }
    assert!(last > 1_300, "{last}: all but the last frame");
    // Streamed: the writer did not know how much there would be.
    let mut streamed = whole.clone();
    streamed[21] &= 0xF0;
    streamed[22..26].fill(0);
    let found = probe(&streamed, 5).unwrap();
    assert_eq!((found.duration_ms, found.truncated), (Some(1_500), false));
    // A head that boasts.
    let mut boasting = whole.clone();
    boasting[22] = 0xFF;
    let found = probe(&boasting, 5).unwrap();
    assert_eq!((found.duration_ms, found.truncated), (Some(1_500), true));
    assert!(matches!(
        probe(&whole[..42], 5),
        Err(Unreadable::Corrupt(_))
    ));
}

#[test]
fn a_header_s_byte_rate_is_not_believed_where_samples_can_be_counted() {
    let mut file = wav(1, 2, 8_000, 16, &[1; 32_000]);
    for rate in [1_u32, 0, u32::MAX] {
        file[28..32].copy_from_slice(&rate.to_le_bytes());
        assert_eq!(
            probe(&file, 999).unwrap().duration_ms,
            Some(1_000),
            "{rate}"
        );
    }
    // Samples of no bits, and a codec that is not known and says nothing of a second.
    let none = wav(1, 1, 8_000, 0, &[1; 8_000]);
    assert!(matches!(probe(&none, 64), Err(Unreadable::Corrupt(_))));
    let mut unknown = wav(0x55, 1, 8_000, 8, &[1; 8_000]);
    assert_eq!(probe(&unknown, 64).unwrap().duration_ms, Some(1_000));
    unknown[28..32].fill(0);
    assert!(matches!(probe(&unknown, 64), Err(Unreadable::Corrupt(_))));
}

#[test]
fn adpcm_is_counted_in_blocks() {
    // What 20 blocks of 256 bytes hold at 8 kHz, by the two codecs, of one and two channels.
    for (tag, channels, samples) in [(0x11, 1, 505), (0x11, 2, 249), (2, 1, 500), (2, 2, 244)] {
        let mut file = wav(tag, channels, 8_000, 4, &[0; 20 * 256]);
        file[28..32].copy_from_slice(&1_u32.to_le_bytes());
        file[32..34].copy_from_slice(&256_u16.to_le_bytes());
        let found = probe(&file, 999).unwrap();
        assert_eq!(
            found.duration_ms,
            Some(20 * samples / 8),
            "{tag} {channels}"
        );
        assert_eq!(found.loudest, None);
        file[32..34].fill(0);
        assert!(matches!(probe(&file, 999), Err(Unreadable::Corrupt(_))));
    }
}

/// With its head before its sound.
fn streamable(m4a: &[u8]) -> Vec<u8> {
    let at = |name: &[u8]| m4a.windows(4).position(|it| it == name).unwrap() - 4;
    let (sound, head) = (at(b"mdat"), at(b"moov"));
    [&m4a[..sound], &m4a[head..], &m4a[sound..head]].concat()
}

#[test]
fn an_edit_list_tells_what_is_heard() {
    // ffmpeg has the encoder's first 1,024 samples cut off.
    let m4a = streamable(&sample("m4a"));
    assert_eq!(probe(&m4a, 99).unwrap().duration_ms, Some(1_500));
    let list = m4a.windows(4).position(|it| it == b"elst").unwrap();
    let with = |length: u32, from: i32| {
        let mut m4a = m4a.clone();
        m4a[list + 12..list + 16].copy_from_slice(&length.to_be_bytes());
        m4a[list + 16..list + 20].copy_from_slice(&from.to_be_bytes());
        probe(&m4a, 1_000).unwrap().duration_ms.unwrap()
    };
    assert_eq!(with(700, 1_024), 700);
    // No more than there is, and all of it where nothing would be left.
    let whole = with(u32::MAX, 0);
    assert!((1_500..1_600).contains(&whole), "{whole}");
    assert_eq!(with(500, -1), whole);
    assert_eq!(with(500, i32::MAX), whole);
}

#[test]
fn of_an_mp4_that_was_cut_no_head_is_believed() {
    let m4a = streamable(&sample("m4a"));
    let found = probe(&m4a[..m4a.len() - 2_000], 500).unwrap();
    assert_eq!((found.duration_ms, found.truncated), (None, true));
    let fragmented = sample("fragmented");
    let found = probe(&fragmented[..fragmented.len() - 2_000], 500).unwrap();
    assert!(found.truncated, "{found:?}");
    assert!(found.duration_ms.is_none_or(|ms| ms < 1_470), "{found:?}");
}

#[test]
fn a_webm_file_that_was_cut_is_as_long_as_its_blocks() {
    let webm = sample("webm");
    let found = probe(&webm[..webm.len() / 2], 500).unwrap();
    assert!(
        found.truncated && found.duration_ms.unwrap() < 1_200,
        "{found:?}"
    );
}

#[test]
fn what_is_written_while_it_is_recorded_is_as_long_as_it_is() {
    for size in [0, u32::MAX] {
        let mut file = wav(1, 1, 8_000, 16, &[1; 8_000]);
        file[40..44].copy_from_slice(&size.to_le_bytes());
        let found = probe(&file, 77).unwrap();
        assert_eq!((found.duration_ms, found.truncated), (Some(500), false));
    }
}

#[test]
fn what_is_no_recording_is_named() {
    for (file, expected) in [
        (&b""[..], Unreadable::Empty),
        (
            b"%PDF-1.7 and so on and on",
            Unreadable::Unsupported("a PDF document"),
        ),
        (
            b"hello, this is a text file",
            Unreadable::Unsupported("no audio that is known here"),
        ),
        (
            b"\xFF\xF1\x50\x80\0\0\0\0\0\0\0\0\0\0\0\0",
            Unreadable::Unsupported("AAC without a container"),
        ),
        (
            b"fLaC\x7F\0\0\0",
            Unreadable::Corrupt("the file ends before its sound begins"),
        ),
        (
            b"#!AMR_MC1.0\n\0\0\0\0\0\0\0",
            Unreadable::Unsupported("AMR of several channels"),
        ),
        (
            b"ab",
            Unreadable::Unsupported("no audio that is known here"),
        ),
    ] {
        assert_eq!(probe(file, 5), Err(expected), "{file:?}");
    }
    let film = wav(1, 0, 0, 16, &[]);
    assert!(matches!(probe(&film, 64), Err(Unreadable::Corrupt(_))));
    assert!(matches!(
        probe(&[0xFF; 300_000], 4_096),
        Err(Unreadable::Corrupt(_))
    ));
}

#[test]
fn what_its_head_tells_is_no_limit_of_what_is_there() {
    // A second, say the heads.
    let mut flac = sample("flac");
    let told = u64::from_be_bytes(flac[18..26].try_into().unwrap());
    let second = told & !0xF_FFFF_FFFF | 8_000;
    flac[18..26].copy_from_slice(&second.to_be_bytes());
    let found = probe(&flac, 99).unwrap();
    assert_eq!((found.duration_ms, found.truncated), (Some(1_500), false));
    let mut m4a = sample("m4a");
    let expected = probe(&m4a, 99).unwrap().duration_ms;
    let times = m4a.windows(4).position(|it| it == b"mdhd").unwrap();
    m4a[times + 20..times + 24].copy_from_slice(&100_u32.to_be_bytes());
    assert_eq!(probe(&m4a, 99).unwrap().duration_ms, expected);
}

#[test]
fn what_is_cut_out_of_a_broadcast_is_as_long_as_it_is() {
    for name in ["vorbis", "opus"] {
        let mut ogg = sample(name);
        let whole = probe(&ogg, 99).unwrap().duration_ms.unwrap();
        let rate = if name == "opus" { 48_000 } else { 44_100 };
        let pages: Vec<_> = (0..ogg.len() - 4)
            .filter(|&at| ogg[at..].starts_with(b"OggS"))
            .collect();
        for page in pages {
            let time = &mut ogg[page + 6..page + 14];
            let granule = u64::from_le_bytes(time.try_into().unwrap());
            // Headers have none.
            if granule > 0 {
                let later = granule + 6 * 3_600 * rate;
                time.copy_from_slice(&later.to_le_bytes());
            }
        }
        let found = probe(&ogg, 99).unwrap().duration_ms.unwrap();
        // All but the first page, which does not tell where it begins.
        assert!(found <= whole && found + 1_600 > whole, "{name}: {found}");
    }
}

#[test]
fn frames_of_a_byte_are_passed_over_one_after_the_other() {
    let mut file = b"#!AMR\n".to_vec();
    file.resize(6 + 700_000, 0x7C);
    let begun = std::time::Instant::now();
    let found = probe(&file, file.len()).unwrap();
    assert_eq!(found.duration_ms, Some(14_000_000));
    // Were the rest copied for each of them, it would be minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn what_is_too_long_is_refused_before_its_end() {
    let mut amr = b"#!AMR\n".to_vec();
    amr.resize(6 + 720_001, 0x7C);
    assert_eq!(Probe::new().push(&amr), Err(Unreadable::TooLong));
    amr.pop();
    assert_eq!(Probe::new().push(&amr), Ok(()));
    // MPEG-2.5, 8 kbit/s at 8 kHz: 72 ms in as many bytes.
    let mut frame = [0; 72];
    frame[..4].copy_from_slice(&[0xFF, 0xE3, 0x18, 0xC0]);
    let mp3 = frame.repeat(200_003);
    assert_eq!(Probe::new().push(&mp3), Err(Unreadable::TooLong));
}

#[test]
fn sizes_that_cannot_be_take_no_memory() {
    // A run that says it has 4 GiB of samples, an element of 2^56 bytes.
    let mut mp4 = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov".to_vec();
    mp4.extend(b"\xFF\xFF\xFF\xFFtrun\0\0\x01\0\xFF\xFF\xFF\xFF");
    mp4.extend(vec![0xFF; 3 << 20]);
    let mut probe = Probe::new();
    for chunk in mp4.chunks(65_536) {
        probe.push(chunk).unwrap();
        assert!(probe.held.len() <= MAX_HELD);
    }
    let webm = b"\x1A\x45\xDF\xA3\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFEand so on";
    assert!(matches!(
        super::tests::probe(webm, 64),
        Err(Unreadable::Corrupt(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn hostile_bytes_are_answered(
        which in 0..SAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
        piece in 1_usize..5_000,
    ) {
        let mut file = SAMPLES[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len().min(600));
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        // Answers, whatever it answers; and the same however it arrives.
        prop_assert_eq!(probe(&file, piece), probe(&file, file.len()));
    }
}
