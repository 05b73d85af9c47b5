export function ApprovalsScreen() {
	return <p>ApprovalsScreen</p>;
}
