//! An engine's library: what it is, and its changes, while questions are asked.

use std::path::Path;
use std::sync::{Arc, mpsc};

use lorekit_cancel::CancelToken;
use lorekit_store::{
    ApplyReport, CompactReport, Library, LibraryState, NewDocument, NewPassage, Purge, PurgeReport, embedded_title,
};

use crate::changes::{AddReport, ChangeProgress, ChangeStage};
use crate::document::cut_own;
use crate::engine::{Care, Job};
use crate::{Engine, Error, OwnDocument, Result, SealKey, convert};

/// Passages embedded at once. A question that comes meanwhile waits for so many and no more.
const EMBED_SLICE: usize = 4;

impl Engine {
    /// What the library is. Costs a look at each of the app's own documents.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] without a library; [`Error::Closed`]; a damaged pack.
    pub fn library_state(&self) -> Result<LibraryState> {
        self.with_library(&CancelToken::new(), |library| library.state().map_err(convert::store))
    }

    /// Hashes all packs of the library and compares them with their manifests. Gives the number of bytes hashed. Costs
    /// one read of all files; searches go on.
    ///
    /// # Errors
    /// As [`library_state`](Self::library_state): the first thing that is wrong, with its file.
    pub fn verify(&self) -> Result<u64> {
        self.with_library(&CancelToken::new(), |library| library.verify().map_err(convert::store))
    }

    /// Applies a delta of the publisher: checks whom it is from and whether it belongs here, copies it into the library's
    /// folder, verifies the copy, and goes on with the new generation. Neither waits for running requests nor stops them.
    /// Applying what is applied already changes nothing and is no error; the report says so.
    ///
    /// # Errors
    /// [`Error::Untrusted`], [`Error::Expired`], [`Error::ClockTurnedBack`], [`Error::Replayed`], [`Error::Fork`],
    /// [`Error::OtherParent`], [`Error::OtherPack`], [`Error::Unsupported`] for a base, [`Error::WrongKey`],
    /// [`Error::Damaged`], [`Error::Storage`], [`Error::Cancelled`]; then the library is as it was.
    /// [`Error::ReadOnly`] without a library's folder; [`Error::Closed`].
    pub fn apply(
        &self,
        delta: impl AsRef<Path>,
        progress: &mut dyn FnMut(ChangeProgress),
        cancel: &CancelToken,
    ) -> Result<ApplyReport> {
        self.change(cancel, |library| {
            library.apply(delta, &mut |step| progress(step.into()), cancel).map_err(convert::store)
        })
    }

    /// Goes back to the newest kept state of the publisher's chain that is not the current one. The app's own documents
    /// stay, and so does the version below which nothing arrives; the delta that was left may be applied again.
    ///
    /// # Errors
    /// [`Error::NothingToRollBackTo`]; [`Error::ReadOnly`]; [`Error::Closed`]; [`Error::Storage`].
    pub fn rollback(&self) -> Result<ApplyReport> {
        self.change(&CancelToken::new(), |library| library.rollback().map_err(convert::store))
    }

    /// Adds a document of the app, or replaces the one of the same id: reads it, cuts and embeds it as the base's were, and
    /// writes it into the library's folder. Its passages are found at once, as [`Origin::Local`](crate::Origin::Local).
    ///
    /// Embedding runs on the engine's thread, a few passages at a time between requests: a running answer goes first, and
    /// a question waits for a moment only.
    ///
    /// # Errors
    /// [`Error::UnusableDocument`]; [`Error::Unsupported`] if the base was cut by other rules than this build has;
    /// [`Error::Cancelled`]; [`Error::ReadOnly`]; [`Error::Closed`]; [`Error::Storage`]. The library is as it was.
    pub fn add(
        &self,
        document: OwnDocument,
        progress: &mut dyn FnMut(ChangeProgress),
        cancel: &CancelToken,
    ) -> Result<AddReport> {
        self.change(cancel, |library| {
            let snapshot = library.snapshot();
            let (document, passages) = cut_own(document, &snapshot, &self.changes.embedder)?;
            drop(snapshot);
            let vectors = self.embed(&document, &passages, progress, cancel)?;
            let generation = library
                .add(document, &passages, &vectors, &mut |step| progress(step.into()), cancel)
                .map_err(convert::store)?;
            Ok(AddReport { generation, passages: passages.len() as u64 })
        })
    }

    /// Removes a document of the app, and its bytes from the folder. False if there is none of this id.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::ReadOnly`]; [`Error::Closed`]; [`Error::Storage`]. The library is as it was.
    pub fn remove(&self, document: &str, cancel: &CancelToken) -> Result<bool> {
        self.change(cancel, |library| library.remove(document, cancel).map_err(convert::store))
    }

    /// Merges the base and its deltas into one base in the folder, and the app's documents into one pack. Nothing that can
    /// be found changes; searches become faster and files fewer.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::ReadOnly`]; [`Error::Closed`]; [`Error::Storage`]. The library is as it was.
    pub fn compact(&self, progress: &mut dyn FnMut(ChangeProgress), cancel: &CancelToken) -> Result<CompactReport> {
        self.change(cancel, |library| {
            library.compact(&mut |step| progress(step.into()), cancel).map_err(convert::store)
        })
    }

    /// Destroys content: what was revoked, or everything that was written for this library and what was computed for
    /// prompts on disk. The second ends all requests and closes the engine, whether or not it succeeds, and the library
    /// opens no more; the report says what is out of reach.
    ///
    /// # Errors
    /// As [`compact`](Self::compact). A purge of everything that was cut short is completed when an engine is opened.
    pub fn purge(
        &self,
        what: Purge,
        progress: &mut dyn FnMut(ChangeProgress),
        cancel: &CancelToken,
    ) -> Result<PurgeReport> {
        let purge = |library: &Library, progress: &mut dyn FnMut(ChangeProgress)| {
            library.purge(what, &mut |step| progress(step.into()), cancel).map_err(convert::store)
        };
        if what == Purge::Revoked {
            return self.change(cancel, |library| purge(library, progress));
        }
        let mut begun = false;
        let report = self.with_library(&CancelToken::new(), |library| {
            if !library.state().map_err(convert::store)?.writable {
                return Err(Error::ReadOnly);
            }
            begun = true;
            self.changes.cancel();
            self.end_worker();
            purge(library, progress)
        });
        if begun {
            self.close();
        }
        let report = report?;
        self.changes.remove_cache()?;
        Ok(report)
    }

    /// Seals the library and, unless the app gave a cipher of its own, the cache folder with another key from now on;
    /// what the folder of caches held under the key before goes. Texts and vectors are not written again. Gives the number
    /// of packs that changed their key.
    ///
    /// The app keeps both keys until this has returned. If it is cut short, exactly one of them opens the library, and
    /// calling it again completes it. The old key still opens older copies of the files: destroy it.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; [`Error::Closed`]; [`Error::Storage`]. The library goes on with the key that opens it.
    pub fn rotate_key(&self, new: SealKey) -> Result<u64> {
        self.with_library(&CancelToken::new(), |library| {
            let n_packs = library.rotate_key(new.clone()).map_err(convert::store)?;
            if self.changes.seals_cache {
                self.care(Care::Seal(Arc::new(new)));
            }
            Ok(n_packs as u64)
        })
    }

    /// Makes a change and goes on with what came of it.
    fn change<T>(&self, cancel: &CancelToken, work: impl FnOnce(&Library) -> Result<T>) -> Result<T> {
        self.with_library(cancel, |library| {
            let before = library.snapshot();
            let done = work(library);
            // Even a change that failed at its very end may be current.
            if !library.snapshot().same(&before) {
                self.go_on_with(|| library.snapshot());
            }
            done
        })
    }

    fn with_library<T>(&self, cancel: &CancelToken, work: impl FnOnce(&Library) -> Result<T>) -> Result<T> {
        match self.changes.begin(cancel) {
            Some((using, library)) => {
                let done = work(&library);
                drop(library);
                drop(using);
                done
            }
            None if self.is_closed() => Err(Error::Closed),
            None => Err(Error::ReadOnly),
        }
    }

    /// Vectors of a document's passages, computed by the worker between other requests.
    fn embed(
        &self,
        document: &NewDocument,
        passages: &[NewPassage],
        progress: &mut dyn FnMut(ChangeProgress),
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>> {
        let total = passages.len() as u64;
        let mut vectors = Vec::with_capacity(passages.len());
        for slice in passages.chunks(EMBED_SLICE) {
            progress(ChangeProgress { stage: ChangeStage::Embed, done: vectors.len() as u64, total });
            let title = |passage: &NewPassage| embedded_title(&document.title, &passage.title_path);
            let inputs = slice.iter().map(|passage| (title(passage), passage.text.clone())).collect();
            let (reply, result) = mpsc::channel();
            self.submit(cancel.clone(), Job::Embed { passages: inputs, cancel: cancel.clone(), reply })?;
            vectors.extend(result.recv().map_err(|_| Error::Closed)??);
        }
        progress(ChangeProgress { stage: ChangeStage::Embed, done: total, total });
        Ok(vectors)
    }
}
