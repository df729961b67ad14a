package dev.lorekit.example.chat

import android.app.Application
import android.content.ComponentCallbacks2
import android.content.res.Configuration
import android.net.Uri
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.lorekit.Engine
import dev.lorekit.EngineConfiguration
import dev.lorekit.LibraryConfiguration
import dev.lorekit.LoreKitException
import dev.lorekit.sample.ChatModel
import dev.lorekit.sample.UpdateModel
import dev.lorekit.sample.updating
import java.io.File
import java.io.IOException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** What stands between opening and chatting. */
sealed interface Opening {
    data object Running : Opening
    data class Failed(val code: String) : Opening
    data class Done(val chat: ChatModel, val updates: UpdateModel?, val title: String, val adapters: List<String>) : Opening
}

/** Owns the engine for as long as the screen exists; the chat's own logic is in `sample-support`, where it is tested. */
class ChatViewModel(application: Application) : AndroidViewModel(application), ComponentCallbacks2 {
    private val mutable = MutableStateFlow<Opening>(Opening.Running)
    private var engine: Engine? = null

    val opening: StateFlow<Opening> = mutable.asStateFlow()

    init {
        application.registerComponentCallbacks(this)
        viewModelScope.launch {
            mutable.value = try {
                val configuration = withContext(Dispatchers.IO) { unpack() }
                val opened = Engine.open(configuration)
                engine = opened
                val updates = configuration.library?.let { UpdateModel(opened.updating(), viewModelScope) }
                updates?.look()
                Opening.Done(ChatModel(opened::answer, viewModelScope), updates, opened.pack.title, configuration.adapters.keys.toList())
            } catch (error: LoreKitException) {
                Opening.Failed(error.code)
            }
        }
    }

    /** Copies the pack and the models out of the APK once: the engine maps files. */
    private fun unpack(): EngineConfiguration {
        val context = getApplication<Application>()
        fun file(name: String): File {
            val target = File(context.noBackupFilesDir, name)
            if (!target.isFile) {
                val part = File(target.path + ".part")
                context.assets.open(name).use { from -> part.outputStream().use { from.copyTo(it) } }
                check(part.renameTo(target)) { "$name cannot be written" }
            }
            return target
        }
        val adapters = context.assets.list("adapters").orEmpty()
        return EngineConfiguration(
            pack = file("app.lorepack"),
            embedder = file("embedder.gguf"),
            model = file("model.gguf"),
            adapters = adapters.associate { it.removeSuffix(".gguf") to adapter(it) },
            cacheFolder = context.cacheDir,
            library = library(),
        )
    }

    /**
     * Updates need the publisher's key; without one the pack never changes. An app that ships seals the folder with a key
     * that the Android Keystore wraps.
     */
    private fun library(): LibraryConfiguration? {
        val context = getApplication<Application>()
        if ("publisher.pub" !in context.assets.list("").orEmpty()) return null
        val key = context.assets.open("publisher.pub").use { it.reader().readText() }
        return LibraryConfiguration(File(context.noBackupFilesDir, "library"), trustedKeys = listOf(key))
    }

    /** Takes the update that a person chose: the engine reads files, so it is copied out of its provider first. */
    fun take(update: Uri, updates: UpdateModel) {
        val context = getApplication<Application>()
        viewModelScope.launch {
            val delta = File(context.cacheDir, "update.lorepack")
            val copied = withContext(Dispatchers.IO) {
                try {
                    context.contentResolver.openInputStream(update)?.use { from -> delta.outputStream().use { from.copyTo(it) } } != null
                } catch (_: IOException) {
                    false
                }
            }
            if (!copied) delta.delete()
            // A file that is not there is told as such.
            updates.apply(delta)
        }
    }

    private fun adapter(name: String): File {
        val context = getApplication<Application>()
        val target = File(context.noBackupFilesDir, "adapter-$name")
        if (!target.isFile) context.assets.open("adapters/$name").use { from -> target.outputStream().use { from.copyTo(it) } }
        return target
    }

    override fun onTrimMemory(level: Int) {
        if (level >= ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN) engine?.enterBackground()
    }

    @Deprecated("Called by older systems")
    override fun onLowMemory() {
        engine?.memoryWarning()
    }

    override fun onConfigurationChanged(newConfig: Configuration) = Unit

    override fun onCleared() {
        getApplication<Application>().unregisterComponentCallbacks(this)
        // At most one step of the model.
        engine?.close()
    }
}
