package dev.lorekit.api

import java.io.File
import java.lang.reflect.Executable
import java.lang.reflect.Modifier
import java.util.jar.JarFile
import kotlin.system.exitProcess

/**
 * Writes the public surface of the library as text, and compares it with `android/api/lorekit.api`.
 *
 * A change of the file is a change of the API and is reviewed as one. Arguments: the library's archive, the file,
 * and `--write` to renew it.
 */
fun main(args: Array<String>) {
    val (library, known) = args.map(::File)
    val found = dump(library)
    if ("--write" in args) {
        known.writeText(found)
        println("wrote $known")
        return
    }
    val expected = known.takeIf { it.isFile }?.readText().orEmpty()
    if (found == expected) {
        println("ok   the public API is the one in ${known.name}")
        return
    }
    val (before, after) = expected.lines() to found.lines()
    (before - after.toSet()).forEach { println("- $it") }
    (after - before.toSet()).forEach { println("+ $it") }
    println("FAIL the public API changed: cargo xtask test-kotlin --write-api")
    exitProcess(1)
}

private fun dump(library: File): String {
    val names = JarFile(library).use { jar ->
        jar.entries().asSequence().map { it.name }.filter { it.endsWith(".class") }.toList()
    }
    return names.map { it.removeSuffix(".class").replace('/', '.') }
        .filter { it.startsWith("dev.lorekit.") && !it.startsWith("dev.lorekit.internal.") }
        .sorted()
        .map { Class.forName(it, false, ClassLoader.getSystemClassLoader()) }
        .filter { isPublic(it) }
        .joinToString("\n") { describe(it) }
}

private fun isPublic(type: Class<*>): Boolean =
    Modifier.isPublic(type.modifiers) && !type.isSynthetic && !type.isAnonymousClass && !type.isLocalClass

private fun describe(type: Class<*>): String {
    val kind = when {
        type.isInterface -> "interface"
        type.isEnum -> "enum class"
        Modifier.isAbstract(type.modifiers) -> "abstract class"
        else -> "class"
    }
    val above = (listOfNotNull(type.superclass) + type.interfaces)
        .filter { it != Any::class.java && it != Enum::class.java }
        .joinToString(" : ", " : ") { it.name }
        .takeIf { it != " : " }.orEmpty()
    val members = type.declaredConstructors.filter { visible(it) }.map { "<init>" + parameters(it) } +
        type.declaredMethods.filter { visible(it) }.map { statics(it.modifiers) + it.name + parameters(it) + ": " + it.returnType.typeName } +
        type.declaredFields.filter { Modifier.isPublic(it.modifiers) && !it.isSynthetic }
            .map { statics(it.modifiers) + it.name + ": " + it.type.typeName }
    return "$kind ${type.name}$above {\n" + members.sorted().joinToString("") { "    $it\n" } + "}\n"
}

/** What an app can name: no bridges, and no `internal` members, whose names carry the module's. */
private fun visible(member: Executable): Boolean =
    (Modifier.isPublic(member.modifiers) || Modifier.isProtected(member.modifiers)) &&
        !member.isSynthetic && '$' !in member.name.removeSuffix("\$default")

private fun statics(modifiers: Int): String = if (Modifier.isStatic(modifiers)) "static " else ""

private fun parameters(member: Executable): String = member.parameterTypes.joinToString(", ", "(", ")") { it.typeName }
