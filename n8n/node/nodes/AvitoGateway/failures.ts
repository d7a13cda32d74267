import {
	NodeApiError,
	NodeOperationError,
	type IExecuteFunctions,
	type INodeExecutionData,
	type JsonObject,
} from 'n8n-workflow';

import type { FieldProblem } from './problem';

/** Returns an error of n8n's that names the input item. */
export function nodeError(
	context: IExecuteFunctions,
	error: Error,
	item: number,
): NodeApiError | NodeOperationError {
	if (error instanceof NodeApiError || error instanceof NodeOperationError) {
		error.context.itemIndex = item;
		return error;
	}
	return new NodeApiError(context.getNode(), error as unknown as JsonObject, { itemIndex: item });
}

/** Returns the fields that the gateway names in an error. */
export function fieldsOf(error: unknown): FieldProblem[] {
	return error instanceof NodeApiError ? ((error.context.fields ?? []) as FieldProblem[]) : [];
}

/** Returns the output of an item that failed while the node goes on; `message` tells it more exactly. */
export function failed(
	context: IExecuteFunctions,
	error: Error,
	item: number,
	message?: string,
): INodeExecutionData {
	const known = nodeError(context, error, item);
	return {
		json: {
			error: known.message,
			message: message ?? known.description ?? known.message,
			details: {
				code: known.context.code ?? null,
				http_status: known instanceof NodeApiError ? Number(known.httpCode) || null : null,
			},
		},
		pairedItem: { item },
	};
}
