//! The app's own documents: a second chain, which no pack of the publisher touches.

use lorekit_cancel::CancelToken;
use lorekit_pack::PackKind;

use crate::build::write_pack_to;
use crate::error::Result;
use crate::library::Library;
use crate::library::merge::Merge;
use crate::library::record::{Record, StoredPack};
use crate::library::switch::NewFile;
use crate::output::Output;
use crate::types::{BuildInput, BuildProgress, IndexChoice, NewDocument, NewPassage, Origin, PackFacts};

impl Library {
    /// Adds a document of the app, cut and embedded as the base says, or replaces the one of the same id. It is written
    /// as a pack of its own and signed with the key of this installation.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) if the parts do not fit together, [`Error::Cancelled`](crate::Error::Cancelled), what the disk refused; the
    /// library is as it was.
    pub fn add(
        &self,
        document: NewDocument,
        passages: &[NewPassage],
        vectors: &[Vec<f32>],
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<u64> {
        let _changing = self.change()?;
        let mut record = self.generation().record.clone();
        let key = self.installation_key()?;
        let file = NewFile::new(self, record.new_name('l'))?;
        let facts = self.local_facts(&record);
        let documents = [document];
        let input = BuildInput {
            documents: &documents,
            passages,
            vectors,
            held_out_queries: &[],
            facts: &facts,
            index: IndexChoice::Auto,
        };
        let seal = self.key();
        let output = Output { seal: seal.as_ref(), sign: Some(&key) };
        write_pack_to(&file.scratch(), &input, output, progress, cancel)?;
        let entry = self.place(&file, &key)?;
        let mut files = self.without_document(&mut record, &documents[0].id, progress, cancel)?.1;
        record.local.push(entry);
        record.generation += 1;
        let generation = record.generation;
        let snapshot = self.assemble(&record)?;
        files.push(file);
        self.switch_keeping(record, snapshot, files)?;
        Ok(generation)
    }

    /// Removes a document of the app, and its bytes from the folder. False if there is none of this id.
    ///
    /// Costs removing a file, or, when a compaction put the document together with others, writing those anew.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled), what the disk refused; the library is as it was.
    pub fn remove(&self, document: &str, cancel: &CancelToken) -> Result<bool> {
        let _changing = self.change()?;
        let mut record = self.generation().record.clone();
        let (found, files) = self.without_document(&mut record, document, &mut |_| {}, cancel)?;
        if !found {
            return Ok(false);
        }
        record.generation += 1;
        let snapshot = self.assemble(&record)?;
        self.switch_keeping(record, snapshot, files)?;
        Ok(true)
    }

    /// Takes a document out of the local chain of a record. Gives whether it was there, and the files that were written
    /// for it.
    fn without_document<'a>(
        &'a self,
        record: &mut Record,
        document: &str,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<(bool, Vec<NewFile<'a>>)> {
        let (mut found, mut files, mut local) = (false, Vec::new(), Vec::new());
        for pack in std::mem::take(&mut record.local) {
            let documents = self.segment(&pack)?.documents()?;
            if documents.iter().all(|held| held.id != document) {
                local.push(pack);
                continue;
            }
            found = true;
            if documents.len() > 1 {
                let alone = Record { local: vec![pack], ..record.clone() };
                let (file, entry) = self.merge_local(record, &alone, Some(document), progress, cancel)?;
                local.push(entry);
                files.push(file);
            }
        }
        record.local = local;
        Ok((found, files))
    }

    /// Writes the local packs of `of` into one, without one document, and signs it. Its name is taken from `record`.
    pub(super) fn merge_local<'a>(
        &'a self,
        record: &mut Record,
        of: &Record,
        without: Option<&str>,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<(NewFile<'a>, StoredPack)> {
        let file = NewFile::new(self, record.new_name('l'))?;
        let snapshot = self.assemble(of)?;
        let mut manifest = snapshot.base_manifest().clone();
        manifest.version = record.generation + 1;
        manifest.kind = PackKind::Local;
        manifest.expires = None;
        let key = self.installation_key()?;
        let seal = self.key();
        let output = Output { seal: seal.as_ref(), sign: Some(&key) };
        let merge = Merge { snapshot: &snapshot, origin: Origin::Local, manifest, output, without, stages: None };
        merge.write(&file.scratch(), progress, cancel)?;
        let entry = self.place(&file, &key)?;
        Ok((file, entry))
    }

    /// Makes a pack that the device wrote durable and gives it its name.
    pub(super) fn place(&self, file: &NewFile<'_>, key: &lorekit_pack::signing::SigningKey) -> Result<StoredPack> {
        file.sync()?;
        let path = file.place()?;
        self.stored(file, &self.open_pack(&path)?, Some(key.verifying_key().to_string()))
    }

    fn local_facts(&self, record: &Record) -> PackFacts {
        let generation = self.generation();
        let base = generation.snapshot.base_manifest();
        PackFacts {
            pack_id: base.pack_id.clone(),
            version: record.generation + 1,
            kind: PackKind::Local,
            parent: None,
            title: base.title.clone(),
            languages: Vec::new(),
            licence: String::new(),
            embedder: base.embedder.clone(),
            splitter: base.splitter.clone(),
            skipped_documents: 0,
            build_tool: base.build_tool.clone(),
            retrieval: base.retrieval,
            calibration: None,
            expires: None,
        }
    }
}
