package dev.lorekit.example.console

import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerOptions
import dev.lorekit.Engine
import dev.lorekit.EngineConfiguration
import dev.lorekit.LoreKitException
import dev.lorekit.Origin
import dev.lorekit.Outcome
import dev.lorekit.SearchMode
import dev.lorekit.SearchOptions
import java.io.File
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking

/** Asks one question of a pack: `PACK EMBEDDER MODEL QUESTION…`. */
fun main(args: Array<String>) {
    if (args.size < 4) {
        System.err.println("usage: PACK EMBEDDER MODEL QUESTION…")
        exitProcess(2)
    }
    val (pack, embedder, model) = args.take(3).map(::File)
    val question = args.drop(3).joinToString(" ")
    try {
        runBlocking { ask(EngineConfiguration(pack, embedder, model), question) }
    } catch (error: LoreKitException) {
        System.err.println("${error.code}: ${error.message}")
        exitProcess(1)
    }
}

private suspend fun ask(configuration: EngineConfiguration, question: String) =
    Engine.open(configuration).use { engine ->
        println("${engine.pack.title}, version ${engine.pack.version}, ${engine.pack.passageCount} passages")
        println("${engine.model?.name}, ${engine.model?.contextTokens} tokens\n\n$question\n")
        engine.answer(question, AnswerOptions()).collect { event ->
            when (event) {
                is AnswerEvent.Retrieved -> event.passages.forEach { println("   found ${it.place} (${"%.2f".format(it.score)})") }
                is AnswerEvent.Text -> print(event.delta)
                is AnswerEvent.Citation -> Unit
                is AnswerEvent.Finished -> {
                    val answer = event.answer
                    println()
                    for (citation in answer.citations) {
                        val passage = answer.passages[citation.passage]
                        val origin = if (citation.origin == Origin.LOCAL) "own document, " else ""
                        println("   “${passage.text.substring(citation.quoted)}”: $origin${passage.place}, bytes ${citation.source}")
                    }
                    val outcome = when (val outcome = answer.outcome) {
                        Outcome.Answered -> "answered"
                        Outcome.Truncated -> "truncated"
                        is Outcome.Declined -> "declined: ${outcome.reason}"
                    }
                    println("   $outcome, ${answer.usage.promptTokens} + ${answer.usage.completionTokens} tokens, ${answer.usage.totalTime}")
                }
            }
        }
        val words = engine.search(question, SearchOptions(limit = 1, mode = SearchMode.LEXICAL))
        println("   by words alone: ${words.firstOrNull()?.place ?: "nothing"}")
    }
