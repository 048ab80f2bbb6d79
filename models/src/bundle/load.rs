//! Reading a bundle: version, hashes, names and interfaces are checked before anything runs.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::interface::{GraphInterface, LOGITS};
use super::manifest::{EvidenceGraphs, FORMAT_VERSION, Manifest};
use super::write::sha256_hex;
use super::{Axis, BundleError, DType, MANIFEST, TOKENIZER};
use crate::ngrams::NgramTable;
use crate::onnx::BUNDLE_ID_KEY;
use crate::onnx::header::OnnxHeader;
use crate::text::Tokenizer;

/// A file's name inside the bundle and its verified bytes.
pub type NamedBytes = (String, Arc<[u8]>);

/// A verified bundle in memory. A clone has the same bytes, not a copy of them.
#[derive(Debug, Clone)]
pub struct Bundle {
    root: PathBuf,
    manifest: Manifest,
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Bundle {
    /// Reads and verifies the bundle at `path`: a bundle folder, or a checkpoint folder that holds one in `bundle/`.
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        let root = locate(path)?;
        let manifest_path = root.join(MANIFEST);
        let manifest = read_manifest(&manifest_path)?;
        let mut files = BTreeMap::new();
        for (name, record) in &manifest.files {
            let file = root.join(plain_name(&manifest_path, name)?);
            let bytes = read(&file)?;
            if bytes.len() as u64 != record.bytes {
                return Err(BundleError::Size { path: file, expected: record.bytes, found: bytes.len() as u64 });
            }
            let found = sha256_hex(&bytes);
            if found != record.sha256 {
                return Err(BundleError::Hash { path: file, expected: record.sha256.clone(), found });
            }
            files.insert(name.clone(), Arc::from(bytes));
        }
        let bundle = Self { root, manifest, files };
        bundle.check_graphs()?;
        bundle.tokenizer()?;
        bundle.ngrams()?;
        Ok(bundle)
    }

    /// The folder it was read from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The verified bytes of a file that the manifest names.
    pub fn file(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.files.get(name)
    }

    /// The external weight files that an ONNX file of this bundle names, with their verified bytes.
    pub fn external_files(&self, graph: &str) -> Result<Vec<NamedBytes>, BundleError> {
        let header = self.header(graph)?;
        Ok(header
            .external_files
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.file(&name)?.clone())))
            .collect())
    }

    /// Bytes of weights that a decoder step of a variant reads: all of its graph's but the embedding tables, of which it
    /// reads a row. 0 for a variant that is not there.
    pub fn step_weight_bytes(&self, variant: &str) -> u64 {
        let arch = &self.manifest.architecture;
        let Some(variant) = self.manifest.variants.iter().find(|its| its.name == variant) else { return 0 };
        let width = if variant.precision.floats() == DType::F16 { 2 } else { 4 };
        let tables = (arch.vocabulary + arch.max_positions) * arch.embedding_dims * width;
        self.header(&variant.decoder).map_or(0, |header| header.external_bytes.saturating_sub(tables as u64))
    }

    /// The tokenizer of this bundle.
    pub fn tokenizer(&self) -> Result<Tokenizer, BundleError> {
        let path = self.root.join(TOKENIZER);
        let fail = |problem: String| BundleError::Tokenizer { path: path.clone(), problem };
        let bytes = self.file(TOKENIZER).ok_or_else(|| fail("missing from the manifest".into()))?;
        Tokenizer::from_json(bytes).map_err(|error| fail(error.to_string()))
    }

    /// The table from which tokens are guessed ahead, where the bundle has one.
    pub fn ngrams(&self) -> Result<Option<NgramTable>, BundleError> {
        let Some(name) = &self.manifest.ngrams else { return Ok(None) };
        let path = self.root.join(name);
        let fail = |problem: String| BundleError::Ngrams { path: path.clone(), problem };
        let bytes = self.file(name).ok_or_else(|| fail("missing from the manifest".into()))?;
        let table = NgramTable::from_json(bytes, self.manifest.vocabulary.len());
        table.map(Some).map_err(|error| fail(error.to_string()))
    }

    fn header(&self, graph: &str) -> Result<OnnxHeader, BundleError> {
        let path = self.root.join(graph);
        let bytes = self.file(graph).ok_or_else(|| BundleError::Graph {
            path: path.clone(),
            problem: "it is not among the manifest's files".into(),
        })?;
        OnnxHeader::read(bytes).map_err(|source| BundleError::Header { path, source })
    }

    fn check_graphs(&self) -> Result<(), BundleError> {
        let arch = &self.manifest.architecture;
        let vocabulary = self.manifest.vocabulary.len();
        if arch.vocabulary != vocabulary {
            return Err(BundleError::Manifest {
                path: self.root.join(MANIFEST),
                problem: format!("its vocabulary has {vocabulary} tokens, its architecture {}", arch.vocabulary),
            });
        }
        for variant in &self.manifest.variants {
            let floats = variant.precision.floats();
            self.check_graph(&variant.encoder, &GraphInterface::encoder(arch, floats))?;
            self.check_graph(&variant.decoder, &GraphInterface::decoder(arch, floats))?;
            if let Some(verifier) = &variant.verifier {
                self.check_graph(verifier, &GraphInterface::verifier(arch, floats))?;
            }
        }
        self.check_evidence()
    }

    /// Checks the graphs that say where the model looked, and that their tokens are places of the image.
    fn check_evidence(&self) -> Result<(), BundleError> {
        let Some(EvidenceGraphs { encoder, attention }) = &self.manifest.evidence else { return Ok(()) };
        let arch = &self.manifest.architecture;
        let [lines, columns] = arch.token_grid();
        if lines * columns != arch.image_tokens {
            return Err(BundleError::Manifest {
                path: self.root.join(MANIFEST),
                problem: format!("{} image tokens are no grid of {lines} x {columns}", arch.image_tokens),
            });
        }
        self.check_graph(encoder, &GraphInterface::encoder(arch, DType::F32))?;
        self.check_graph(attention, &GraphInterface::evidence(arch))
    }

    /// Checks one ONNX file against the bundle: id, interface as recorded and as the architecture demands, weights.
    fn check_graph(&self, graph: &str, expected: &GraphInterface) -> Result<(), BundleError> {
        let header = self.header(graph)?;
        let fail = |problem: String| Err(BundleError::Graph { path: self.root.join(graph), problem });
        match header.metadata(BUNDLE_ID_KEY) {
            Some(id) if id == self.manifest.id => {}
            found => {
                return fail(format!("bundle id expected {}, found {}", self.manifest.id, found.unwrap_or("none")));
            }
        }
        let found = GraphInterface { inputs: header.inputs, outputs: header.outputs };
        if self.manifest.graphs.get(graph) != Some(&found) {
            return fail("its inputs and outputs are not those that the manifest records".into());
        }
        for (expected, found) in [(&expected.inputs, &found.inputs), (&expected.outputs, &found.outputs)] {
            if let Some(missing) = expected.iter().find(|spec| !found.contains(spec)) {
                return fail(format!("`{missing}` is missing or differs"));
            }
        }
        let logits = found.outputs.iter().find(|spec| spec.name == LOGITS);
        if logits.is_some_and(|spec| spec.axes.last() != Some(&Axis::Fixed(self.manifest.vocabulary.len() as i64))) {
            return fail("its logits do not have one score per token of the vocabulary".into());
        }
        match header.external_files.iter().find(|name| !self.files.contains_key(*name)) {
            Some(name) => fail(format!("it reads weights from `{name}`, which is not among the manifest's files")),
            None => Ok(()),
        }
    }
}

fn locate(path: &Path) -> Result<PathBuf, BundleError> {
    [path.to_path_buf(), path.join("bundle")]
        .into_iter()
        .find(|root| root.join(MANIFEST).is_file())
        .ok_or_else(|| BundleError::NotABundle(path.to_path_buf()))
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    std::fs::read(path).map_err(|source| BundleError::Read { path: path.to_path_buf(), source })
}

fn read_manifest(path: &Path) -> Result<Manifest, BundleError> {
    let bytes = read(path)?;
    let fail = |problem: String| BundleError::Manifest { path: path.to_path_buf(), problem };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
    // The version first: a newer layout may differ in everything else, its hash included.
    match value.get("format_version").and_then(serde_json::Value::as_u64) {
        None => return Err(fail("no `format_version`".into())),
        Some(found) if found > u64::from(FORMAT_VERSION) => {
            return Err(BundleError::NewerFormat { path: path.to_path_buf(), found, supported: FORMAT_VERSION });
        }
        Some(_) => {}
    }
    let (blank, expected) = blank_manifest_hash(&bytes).ok_or_else(|| fail("no `manifest_sha256`".into()))?;
    let found = sha256_hex(&blank);
    if found != expected {
        return Err(BundleError::Hash { path: path.to_path_buf(), expected, found });
    }
    serde_json::from_value(value).map_err(|error| fail(error.to_string()))
}

/// The manifest's bytes with its own hash set to zeros, and that hash. The field stands last in the file.
pub(super) fn blank_manifest_hash(bytes: &[u8]) -> Option<(Vec<u8>, String)> {
    const FIELD: &[u8] = b"\"manifest_sha256\": \"";
    let start = bytes.windows(FIELD.len()).rposition(|window| window == FIELD)? + FIELD.len();
    let hash = String::from_utf8(bytes.get(start..start + 64)?.to_vec()).ok()?;
    let mut blank = bytes.to_vec();
    blank[start..start + 64].fill(b'0');
    Some((blank, hash))
}

/// A manifest's file name, if it names a file in the bundle's own folder and nothing else.
fn plain_name<'n>(manifest: &Path, name: &'n str) -> Result<&'n str, BundleError> {
    let mut components = Path::new(name).components();
    let plain = matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name);
    if plain && !name.contains(['/', '\\', ':']) {
        Ok(name)
    } else {
        Err(BundleError::OutsidePath { manifest: manifest.to_path_buf(), name: name.to_owned() })
    }
}
