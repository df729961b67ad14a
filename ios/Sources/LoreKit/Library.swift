public import Foundation

/// Makes the engine's pack the base of a library that takes updates and documents of the app.
///
/// The base is never written to and may lie in the app's bundle; all that comes later lies in ``folder``.
public struct LibraryConfiguration: Hashable, Sendable {
    /// The folder that belongs to this library alone, for example in Application Support; made if it does not exist.
    public var folder: URL
    /// The public keys whose signatures are believed, as PEM or as 64 hexadecimal digits.
    public var trustedKeys: [String]
    /// Takes packs without any signature: for development, never for an app that ships.
    public var allowUnsigned: Bool
    /// 32 bytes, for example from the keychain, that seal whatever is written to ``folder`` and to the cache folder;
    /// `nil` leaves it readable.
    public var key: Data?
    /// The publisher's key of 32 bytes, for packs whose sections are sealed.
    public var contentKey: Data?
    /// The day by which packs expire, `YYYY-MM-DD`; `nil` takes the device's clock.
    public var today: String?
    /// How many earlier states are kept for a rollback.
    public var keptStates: Int

    /// Names the folder and whom to believe; everything else may be left out.
    public init(
        folder: URL,
        trustedKeys: [String],
        allowUnsigned: Bool = false,
        key: Data? = nil,
        contentKey: Data? = nil,
        today: String? = nil,
        keptStates: Int = 2
    ) {
        self.folder = folder
        self.trustedKeys = trustedKeys
        self.allowUnsigned = allowUnsigned
        self.key = key
        self.contentKey = contentKey
        self.today = today
        self.keptStates = keptStates
    }
}

extension LibraryConfiguration: CustomReflectable {
    /// Without the keys, so that printing a configuration shows none.
    public var customMirror: Mirror {
        let shown: KeyValuePairs<String, Any> = [
            "folder": folder, "trustedKeys": trustedKeys, "allowUnsigned": allowUnsigned, "today": today as Any,
            "keptStates": keptStates,
        ]
        return Mirror(self, children: shown, displayStyle: .struct)
    }
}

/// A document of the app, on its way into the library.
public struct OwnDocument: Hashable, Sendable, Identifiable {
    /// Stable name, by which it is replaced and removed.
    public var id: String
    /// Name of the file, whose ending says what it is: `md`, `txt`, `html`. Citations show it.
    public var path: String
    /// Its text.
    public var content: String
    /// What people call it; `nil` takes what it says itself, else its path.
    public var title: String?
    /// Access labels, of which a caller needs any; none adds nothing to those that the document names.
    public var labels: [String]

    /// A document; without a title it takes what it says itself.
    public init(id: String, path: String, content: String, title: String? = nil, labels: [String] = []) {
        self.id = id
        self.path = path
        self.content = content
        self.title = title
        self.labels = labels
    }
}
