package dev.lorekit.example.chat

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.compose.setContent
import androidx.activity.result.contract.ActivityResultContracts
import androidx.activity.viewModels
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.itemsIndexed
import androidx.compose.material3.AlertDialog
import androidx.compose.material3.Button
import androidx.compose.material3.FilterChip
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.collectAsState
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.text.LinkAnnotation
import androidx.compose.ui.text.SpanStyle
import androidx.compose.ui.text.TextLinkStyles
import androidx.compose.ui.text.buildAnnotatedString
import androidx.compose.ui.text.style.TextDecoration
import androidx.compose.ui.text.withLink
import androidx.compose.ui.text.withStyle
import androidx.compose.ui.unit.dp
import dev.lorekit.Citation
import dev.lorekit.Origin
import dev.lorekit.sample.ChatModel
import dev.lorekit.sample.OpenedPassage
import dev.lorekit.sample.Turn
import dev.lorekit.sample.TurnStatus
import dev.lorekit.sample.UpdateModel
import dev.lorekit.sample.UpdateStatus

class ChatActivity : ComponentActivity() {
    private val viewModel: ChatViewModel by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent {
            MaterialTheme {
                Column(Modifier.fillMaxSize().safeDrawingPadding().padding(16.dp)) {
                    val opening by viewModel.opening.collectAsState()
                    when (val now = opening) {
                        Opening.Running -> Text(stringResource(R.string.opening))
                        is Opening.Failed -> Text(stringResource(R.string.failed, now.code))
                        is Opening.Done -> {
                            now.updates?.let { Updates(it, viewModel) }
                            Chat(now.chat, now.title, now.adapters)
                        }
                    }
                }
            }
        }
    }
}

@Composable
private fun Chat(chat: ChatModel, title: String, adapters: List<String>) {
    val state by chat.state.collectAsState()
    var question by rememberSaveable { mutableStateOf("") }
    Column(Modifier.fillMaxSize(), Arrangement.spacedBy(8.dp)) {
        Text(title, style = MaterialTheme.typography.titleLarge)
        if (adapters.isNotEmpty()) {
            Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
                FilterChip(state.adapter == null, { chat.choose(null) }, { Text(stringResource(R.string.plain_voice)) })
                adapters.forEach { name -> FilterChip(state.adapter == name, { chat.choose(name) }, { Text(name) }) }
            }
        }
        LazyColumn(Modifier.weight(1f), verticalArrangement = Arrangement.spacedBy(16.dp)) {
            itemsIndexed(state.turns) { index, turn -> Turn(turn) { citation -> chat.open(index, citation) } }
        }
        Row(Modifier.fillMaxWidth(), Arrangement.spacedBy(8.dp)) {
            OutlinedTextField(question, { question = it }, Modifier.weight(1f), placeholder = { Text(stringResource(R.string.hint)) })
            if (state.busy) {
                Button(chat::stop) { Text(stringResource(R.string.stop)) }
            } else {
                Button({ chat.ask(question); question = "" }) { Text(stringResource(R.string.ask)) }
            }
        }
    }
    state.opened?.let { Passage(it, chat::dismiss) }
}

@Composable
private fun Turn(turn: Turn, open: (Citation) -> Unit) {
    Column(verticalArrangement = Arrangement.spacedBy(4.dp)) {
        Text(turn.question, style = MaterialTheme.typography.titleMedium)
        when (val status = turn.status) {
            is TurnStatus.Declined -> {
                Text(stringResource(R.string.declined))
                turn.passages.forEach { Text(it.text, style = MaterialTheme.typography.bodySmall) }
            }
            is TurnStatus.Failed -> Text(stringResource(R.string.failed, status.code))
            TurnStatus.Streaming, TurnStatus.Answered -> Cited(turn, open)
            TurnStatus.Truncated -> {
                Cited(turn, open)
                Text(stringResource(R.string.truncated))
            }
            TurnStatus.Stopped -> {
                Cited(turn, open)
                Text(stringResource(R.string.stopped))
            }
        }
    }
}

/** Which version answers, and the two buttons that change it. */
@Composable
private fun Updates(updates: UpdateModel, viewModel: ChatViewModel) {
    val state by updates.state.collectAsState()
    val choose = rememberLauncherForActivityResult(ActivityResultContracts.OpenDocument()) { chosen ->
        if (chosen != null) viewModel.take(chosen, updates)
    }
    Row(Modifier.fillMaxWidth(), Arrangement.spacedBy(8.dp)) {
        if (state.busy) {
            Button(updates::stop) { Text(stringResource(R.string.stop)) }
        } else {
            Button({ choose.launch(arrayOf("*/*")) }) { Text(stringResource(R.string.update)) }
            Button(updates::goBack, enabled = state.canGoBack) { Text(stringResource(R.string.go_back)) }
        }
        Text(stringResource(R.string.version, state.version ?: 0))
    }
    when (val status = state.status) {
        UpdateStatus.Idle, UpdateStatus.GoingBack -> Unit
        is UpdateStatus.Applying -> status.progress?.let { Text(stringResource(R.string.progress, it.done, it.total)) }
        UpdateStatus.Updated -> Text(stringResource(R.string.updated))
        UpdateStatus.UpToDate -> Text(stringResource(R.string.up_to_date))
        UpdateStatus.WentBack -> Text(stringResource(R.string.went_back))
        UpdateStatus.Stopped -> Text(stringResource(R.string.stopped))
        is UpdateStatus.Failed -> Text(stringResource(R.string.failed, status.code))
    }
}

/** The answer; a tap on a cited span opens its passage. */
@Composable
private fun Cited(turn: Turn, open: (Citation) -> Unit) {
    val link = TextLinkStyles(SpanStyle(color = MaterialTheme.colorScheme.primary, textDecoration = TextDecoration.Underline))
    Text(
        buildAnnotatedString {
            turn.segments().forEach { segment ->
                val citation = segment.citation
                if (citation == null) {
                    append(segment.text)
                } else {
                    withLink(LinkAnnotation.Clickable(citation.answer.toString(), link) { open(citation) }) { append(segment.text) }
                }
            }
        },
    )
}

@Composable
private fun Passage(opened: OpenedPassage, close: () -> Unit) {
    val own = stringResource(R.string.own_document) + "\n\n"
    AlertDialog(
        onDismissRequest = close,
        confirmButton = { TextButton(close) { Text(stringResource(R.string.close)) } },
        title = { Text(opened.title) },
        text = {
            Text(
                buildAnnotatedString {
                    if (opened.origin == Origin.LOCAL) append(own)
                    append(opened.before)
                    withStyle(SpanStyle(background = MaterialTheme.colorScheme.primaryContainer)) { append(opened.marked) }
                    append(opened.after)
                },
            )
        },
    )
}
