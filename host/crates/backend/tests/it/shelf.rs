//! A store of blobs for a test, with what the engines are shown in it.

use std::sync::Arc;

use bytes::Bytes;
use capability::blobs::local::LocalBlobs;
use capability::blobs::{Blobs, Key};
use futures::StreamExt;
use tempfile::TempDir;

pub(crate) const PAGE: &[u8] = include_bytes!("samples/page.jpg");
pub(crate) const SPOKEN: &[u8] = include_bytes!("samples/spoken.ogg");

pub(crate) struct Shelf {
    pub(crate) blobs: Arc<dyn Blobs>,
    _folder: TempDir,
}

pub(crate) fn key(key: &str) -> Key {
    Key::parse(key).unwrap()
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(folder.path()).await.unwrap();
        Self {
            blobs: Arc::new(blobs),
            _folder: folder,
        }
    }

    pub(crate) async fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Key {
        let (key, bytes) = (key(name), bytes.into());
        let size = bytes.len() as u64;
        let data = futures::stream::iter([Ok(bytes)]).boxed();
        self.blobs.put(&key, data, size).await.unwrap();
        key
    }
}

/// Samples as a file: PCM of 16 bits, one channel.
pub(crate) fn wav(rate: u32, samples: &[u8]) -> Vec<u8> {
    let size = u32::try_from(samples.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(rate.to_le_bytes());
    file.extend((2 * rate).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(size.to_le_bytes());
    file.extend(samples);
    file
}

/// A PDF that shows the picture on each of its pages, as a scanner makes it; of A4, so many times as
/// high and wide.
pub(crate) fn scanned(pages: usize, times: u32, jpeg: &[u8]) -> Vec<u8> {
    let kids: String = (0..pages).map(|at| format!("{} 0 R ", at + 5)).collect();
    let picture = format!(
        "<< /Type /XObject /Subtype /Image /Width 1000 /Height 300 /ColorSpace /DeviceRGB \
         /BitsPerComponent 8 /Filter /DCTDecode /Length {} >>",
        jpeg.len()
    );
    let content = format!("{times} 0 0 {times} 0 0 cm 500 0 0 150 40 600 cm /P Do");
    let (width, height) = (595 * times, 842 * times);
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R \
         /Resources << /XObject << /P 3 0 R >> >> >>"
    );
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {pages} >>").into_bytes(),
        [
            format!("{picture}\nstream\n").as_bytes(),
            jpeg,
            b"\nendstream",
        ]
        .concat(),
        format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        )
        .into_bytes(),
    ];
    objects.extend((0..pages).map(|_| page.as_bytes().to_vec()));
    let (mut file, mut offsets) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (at, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", at + 1).bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    let count = objects.len() + 1;
    file.extend(format!("xref\n0 {count}\n0000000000 65535 f \n").bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    file.extend(
        format!("trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").bytes(),
    );
    file
}
