import Foundation
import LoreKitBindings

// The library, from the app to the native side.

extension FfiLibraryOptions {
    init(_ library: LibraryConfiguration) {
        self.init(
            folder: library.folder.path,
            trustedKeys: library.trustedKeys,
            allowUnsigned: library.allowUnsigned,
            key: library.key,
            contentKey: library.contentKey,
            today: library.today,
            keptStates: UInt32(clamping: library.keptStates)
        )
    }
}

extension FfiOwnDocument {
    init(_ document: OwnDocument) {
        self.init(
            id: document.id,
            path: document.path,
            content: Data(document.content.utf8),
            title: document.title,
            labels: document.labels
        )
    }
}

extension FfiPurge {
    init(_ purge: Purge) {
        self = switch purge {
        case .everything: .everything
        case .revoked: .revoked
        }
    }
}

// And from there to the app.

extension Passage.Origin {
    init(_ origin: FfiOrigin) {
        self = switch origin {
        case .publisher: .publisher
        case .local: .local
        }
    }
}

extension ChangeProgress {
    init(_ progress: FfiChangeProgress) {
        self.init(stage: Stage(progress.stage), done: Int64(clamping: progress.done), total: Int64(clamping: progress.total))
    }
}

extension ChangeProgress.Stage {
    init(_ stage: FfiChangeStage) {
        self = switch stage {
        case .copy: .copy
        case .embed: .embed
        case .text: .text
        case .index: .index
        case .recall: .recall
        case .pack: .pack
        }
    }
}

extension ApplyReport {
    init(_ report: FfiApplyReport) {
        self.init(
            applied: report.applied,
            generation: report.generation,
            version: report.version,
            state: report.state,
            ownerRollback: report.ownerRollback
        )
    }
}

extension AddReport {
    init(_ report: FfiAddReport) {
        self.init(generation: report.generation, passages: Int(clamping: report.passages))
    }
}

extension CompactReport {
    init(_ report: FfiCompactReport) {
        self.init(
            generation: report.generation,
            publisherPacks: Int(clamping: report.publisherPacks),
            localPacks: Int(clamping: report.localPacks),
            droppedStates: Int(clamping: report.droppedStates)
        )
    }
}

extension PurgeReport {
    init(_ report: FfiPurgeReport) {
        self.init(
            filesRemoved: Int(clamping: report.filesRemoved),
            droppedStates: Int(clamping: report.droppedStates),
            baseStillHolds: report.baseStillHolds,
            refusalRecorded: report.refusalRecorded
        )
    }
}

extension LibraryState {
    init(_ state: FfiLibraryState) {
        self.init(
            generation: state.generation,
            packID: state.packId,
            version: state.version,
            state: state.state,
            versionFloor: state.versionFloor,
            base: Pack(state.base),
            isCompacted: state.compacted,
            deltas: state.deltas.map(Pack.init),
            localDocuments: state.localDocuments.map { LocalDocument(id: $0.id, title: $0.title) },
            kept: state.kept.map { Kept(version: $0.version, state: $0.state) },
            passages: Int(clamping: state.passages),
            revoked: Int(clamping: state.revoked),
            revokedInReadOnlyBase: Int(clamping: state.revokedInReadOnlyBase),
            isSealed: state.sealed,
            isBaseSealed: state.baseSealed,
            bytes: Int64(clamping: state.bytes),
            expires: state.expires,
            isExpired: state.expired,
            isClockTurnedBack: state.clockTurnedBack
        )
    }
}

extension LibraryState.Pack {
    init(_ pack: FfiAppliedPack) {
        self.init(
            manifest: pack.manifest,
            version: pack.version,
            signer: pack.signer,
            bytes: Int64(clamping: pack.bytes),
            passages: Int(clamping: pack.passages),
            withdrawals: Int(clamping: pack.withdrawals)
        )
    }
}
